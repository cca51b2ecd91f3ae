"""Where an endpoint is: ``unix:///path`` or ``host:port``. Pure: nothing is opened, resolved or bound here."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from cri.errors import InvalidArgument

UNIX_PATH_LIMIT = 107
"""Bytes in the path of a Unix socket; the kernel's ``sun_path`` has 108 with the closing zero."""

_ALLOWED = "allowed: unix:///absolute/path, host:port, [ipv6]:port"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system, guarded by its mode."""

    path: str

    def __str__(self) -> str:
        return f"unix://{self.path}"

    @property
    def target(self) -> str:
        """The address as gRPC reads it: a URI, so what is special in one is escaped."""
        return "unix:" + quote(self.path)


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port, guarded by mutual TLS unless it never leaves this machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def target(self) -> str:
        """The address as gRPC reads it."""
        return f"dns:///{self}"

    @property
    def is_loopback(self) -> bool:
        """True when the address itself says so. Other names are not resolved: a resolver's word guards nothing."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


Address: TypeAlias = UnixAddress | TcpAddress


def parse(text: str) -> Address:
    """The address written as ``text``. Raises InvalidArgument that says what is allowed."""
    if text.startswith("unix:"):
        return _parse_unix(text)
    if "://" in text:
        raise InvalidArgument(f"address {text!r}: unknown scheme; {_ALLOWED}")
    if text.startswith(("/", "./", "../")):
        raise InvalidArgument(f"address {text!r} looks like a path; write unix://{os.path.abspath(text)}")
    return _parse_tcp(text)


def is_address(text: str) -> bool:
    """Whether ``text`` is meant as an address rather than as a backend's name (which has neither ``:`` nor ``/``)."""
    return ":" in text or "/" in text


def _parse_unix(text: str) -> UnixAddress:
    path = text.removeprefix("unix://")
    if not text.startswith("unix://") or not path.startswith("/"):
        raise InvalidArgument(f"address {text!r}: a unix socket needs an absolute path, as in unix:///run/x.sock")
    if path.endswith("/") or "\0" in path:
        raise InvalidArgument(f"address {text!r}: the path must name a socket file")
    if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
        raise InvalidArgument(f"address {text!r}: the path is longer than {UNIX_PATH_LIMIT} bytes, the kernel's limit")
    return UnixAddress(path)


def _parse_tcp(text: str) -> TcpAddress:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise InvalidArgument(f"address {text!r} has no host or no port; {_ALLOWED}")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f"address {text!r}: port {port!r} is not a number from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise InvalidArgument(f"address {text!r}: {host!r} is not an IPv6 address") from error
    elif ":" in host or "[" in host or "]" in host:
        raise InvalidArgument(f"address {text!r}: write an IPv6 address in brackets, as in [::1]:{port}")
    elif "/" in host or any(char.isspace() for char in host):
        raise InvalidArgument(f"address {text!r}: {host!r} is not a host name; {_ALLOWED}")
    return TcpAddress(host, int(port))


def default_address(name: str = "minicri", environ: Mapping[str, str] = os.environ) -> str:
    """Where a server of ours listens when nobody says otherwise: below /run for root, else a directory of the user's.

    Never below /tmp: who makes a well-known name there first could listen in our place.
    """
    own = environ.get("XDG_RUNTIME_DIR") or os.path.expanduser("~/.local/state")
    base = "/run" if os.geteuid() == 0 else own
    return f"unix://{base}/minicri/{name}.sock"
