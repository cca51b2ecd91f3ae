"""What the kernel remembers of packets without a connection. For as long as a caller goes on from one port, its packets
go where the first one went: to nobody, if the sandbox was not there yet, or to one that is gone."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable

from runtimes.native.network.netlink import NETFILTER, Netlink, NetlinkError, Request, attribute, attributes, nested
from runtimes.native.network.rules import Published

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_HEADER = struct.Struct("=BBH")
_ORIGINAL, _FILTER = 1, 25
_PROTOCOL, _PROTOCOL_NUMBER, _TARGET_PORT = 2, 1, 3
_ORIGINAL_FLAGS, _REPLY_FLAGS = 1, 2
_BY_PROTOCOL, _BY_TARGET_PORT = 1 << 3, 1 << 5
_NO_FILTER = (errno.EINVAL, errno.EOPNOTSUPP)


def forget(published: Iterable[Published]) -> None:
    """Have packets to these ports find their way anew. Connections stay as they are. Raises OSError."""
    datagrams = [each for each in published if each.protocol == "udp"]
    if datagrams:
        with Netlink(NETFILTER) as netlink:
            for each in datagrams:
                _forget(netlink, each)


def _forget(netlink: Netlink, published: Published) -> None:
    header = _HEADER.pack(_FAMILIES[published.host_ip.version], 0, 0)
    about = f"forgetting packets to port {published.port}"
    tuple_ = nested(
        _PROTOCOL,
        attribute(_PROTOCOL_NUMBER, bytes((socket.IPPROTO_UDP,))),
        attribute(_TARGET_PORT, struct.pack("!H", published.port)),
    )
    by = nested(_FILTER, attribute(_ORIGINAL_FLAGS, _BY_PROTOCOL | _BY_TARGET_PORT), attribute(_REPLY_FLAGS, 0))
    try:
        netlink.run(Request(_DELETE, header + nested(_ORIGINAL, tuple_) + by, about=about))
    except NetlinkError as error:
        if error.errno not in _NO_FILTER:
            raise
        # A kernel that removes by name only: its list is gone through.
        originals = [
            attributes(body, _HEADER.size).get(_ORIGINAL, b"")
            for body in netlink.dump(Request(_GET, header, about=about))
        ]
        requests = [
            Request(_DELETE, header + nested(_ORIGINAL, each), about=about)
            for each in originals
            if _is_to(each, published.port)
        ]
        for failure in netlink.attempt(*requests) if requests else ():
            if failure.errno != errno.ENOENT:
                raise failure from error


def _is_to(original: bytes, port: int) -> bool:
    protocol = attributes(attributes(original).get(_PROTOCOL, b""))
    return protocol.get(_PROTOCOL_NUMBER) == bytes((socket.IPPROTO_UDP,)) and protocol.get(_TARGET_PORT) == struct.pack(
        "!H", port
    )
