"""How large packets of sandboxes may be: as large as those of the host."""

from __future__ import annotations

from pathlib import Path

from runtimes.native.network import links
from runtimes.native.network.netlink import Netlink

USUAL = 1500

_ROUTES = Path("/proc/thread-self/net/route")
_EVERYWHERE = "00000000"


def host_mtu(netlink: Netlink) -> int:
    """Bytes, of the interface that the default route is on; the usual number where there is none."""
    for line in _ROUTES.read_text().splitlines()[1:]:
        name, destination, *_, mask = line.split()[:8]
        if destination == mask == _EVERYWHERE and (found := netlink.get(links.get(name))) is not None:
            return links.link(found).mtu
    return USUAL
