"""A sandbox's own end of its network. Blocking, and it takes its thread there for good: see ``namespaces``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from runtimes.native import kernel
from runtimes.native.kernel import Namespace
from runtimes.native.network import links, namespaces
from runtimes.native.network.leases import Address
from runtimes.native.network.netlink import Netlink

_IPV6 = Path("/proc/sys/net/ipv6/conf", links.INSIDE)
_IPV6_SETTINGS = {"accept_dad": "0", "accept_ra": "0"}
"""Addresses are ours to give: nothing is looked for, and no neighbour may say where packets go."""


def configure(
    namespace: int,
    interfaces: Sequence[IPv4Interface | IPv6Interface],
    gateways: Sequence[Address],
    sysctls: Mapping[str, str],
) -> None:
    """Give the interface its addresses and routes. Raises OSError, and InvalidArgument for a sysctl that is refused."""
    kernel.enter(namespace, Namespace.NET)
    with Netlink() as netlink:
        body = netlink.get(links.get(links.INSIDE))
        assert body is not None, "made a moment ago, and nothing else is in there"
        index = links.link(body).index
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for name, value in _IPV6_SETTINGS.items():
                (_IPV6 / name).write_text(value)
        netlink.run(
            links.up("lo"),
            links.up(links.INSIDE),
            *(links.address(index, interface) for interface in interfaces),
            *(links.default_route(index, gateway) for gateway in gateways),
        )
    namespaces.write_sysctls(sysctls)


def loopback() -> None:
    """Loopback only, in the network namespace of this thread."""
    with Netlink() as netlink:
        netlink.run(links.up("lo"))
