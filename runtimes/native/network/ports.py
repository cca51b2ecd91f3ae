"""Ports of the host, and who has them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from cri.errors import AlreadyExists, FailedPrecondition, PermissionDenied
from runtimes.native.network.rules import WILDCARDS, Published

_PROTOCOLS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_UNKNOWN = (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT)


def collide(one: Published, other: Published) -> bool:
    """Whether a packet could be meant for both."""
    if (one.protocol, one.port, one.host_ip.version) != (other.protocol, other.port, other.host_ip.version):
        return False
    wildcard = WILDCARDS[one.host_ip.version]
    return one.host_ip == other.host_ip or wildcard in (one.host_ip, other.host_ip)


def check_free(published: Iterable[Published]) -> None:
    """Raises AlreadyExists when a program of the host listens on one of them, whose callers the rule would take away;
    FailedPrecondition for an address that the host has not; PermissionDenied."""
    for each in published:
        _check_free(each)


def _check_free(published: Published) -> None:
    family = socket.AF_INET if published.host_ip.version == 4 else socket.AF_INET6
    kind, protocol = _PROTOCOLS[published.protocol]
    try:
        probe = socket.socket(family, kind, protocol)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return  # then nobody listens there
        raise
    with probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections that ended a moment ago do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(probe, published)


def _bind(probe: socket.socket, published: Published) -> None:
    try:
        probe.bind((str(published.host_ip), published.port))
    except OSError as error:
        port = f"port {published.port}/{published.protocol} of the host"
        if error.errno == errno.EADDRINUSE:
            raise AlreadyExists(f"{port} is taken by a program of the host") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise FailedPrecondition(f"{port}: the host has no address {published.host_ip}") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PermissionDenied(f"{port} may not be used: {error.strerror}") from error
        raise
