"""Netlink, as much of it as the network needs: requests in batches, one system call for all of them.

A library for the whole of netlink takes longer to import than a hundred sandboxes take to be connected with this, and
sends one request at a time.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ROUTE: Final = 0
NETFILTER: Final = 12
"""Netlink families."""

REPLACE: Final = 0x100
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400
"""Flags of a request. ``REPLACE`` and ``EXCLUSIVE`` go with ``CREATE``."""

_REQUEST = 0x1
_ACKNOWLEDGE = 0x4
_DUMP = 0x300
_ERROR = 2
_DONE = 3
_ANSWERED_BRIEFLY = 0x100
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=i")
_SOL_NETLINK = 270
_BRIEF_ACKNOWLEDGEMENT = 10
_EXPLAINED_ERRORS = 11
_EXPLANATION = 1
_BUFFER = 1 << 18
_PATIENCE = 30.0
"""Seconds. The kernel answers at once, or when it is through: it needs some tens of milliseconds to remove a link."""


@dataclass(frozen=True, slots=True)
class Request:
    """``body`` is the fixed header of the message and its attributes. ``about`` names it in an error."""

    type: int
    body: bytes
    flags: int = 0
    about: str = ""


class NetlinkError(OSError):
    """The kernel refused one of a batch; ``index`` is its place. The others of the batch are done nevertheless."""

    def __init__(self, number: int, words: str, index: int, about: str) -> None:
        super().__init__(number, f"{about}: {words or os.strerror(number)}")
        self.index = index


class Netlink:
    """A socket in the network namespace of the thread that makes it. For one thread at a time. To be closed."""

    def __init__(self, family: int = ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._sequence = 0
        try:
            self._socket.settimeout(_PATIENCE)
            for option in (_BRIEF_ACKNOWLEDGEMENT, _EXPLAINED_ERRORS):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._socket.bind((0, 0))
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Safe to call twice."""
        self._socket.close()

    def run(self, *requests: Request) -> None:
        """All of them, in order, in one go. Raises NetlinkError for the first that was refused."""
        failures = self.attempt(*requests)
        if failures:
            raise failures[0]

    def attempt(self, *requests: Request) -> list[NetlinkError]:
        """All of them, in order, in one go, and what was refused."""
        first = self._send(requests, _ACKNOWLEDGE)
        failures: list[NetlinkError] = []
        waiting = len(requests)
        while waiting:
            for kind, flags, sequence, body in self._receive():
                if kind != _ERROR or sequence < first:
                    continue
                waiting -= 1
                if number := -_NUMBER.unpack_from(body)[0]:
                    index = sequence - first
                    failures.append(NetlinkError(number, _explanation(body, flags), index, requests[index].about))
        return failures

    def get(self, request: Request) -> bytes | None:
        """The body of the one that is asked for; None when it is not there. Raises NetlinkError."""
        try:
            found = self._replies(request, 0)
        except NetlinkError as error:
            if error.errno in (errno.ENODEV, errno.ENOENT):
                return None
            raise
        return found[0] if found else None

    def dump(self, request: Request) -> list[bytes]:
        """The bodies of all that there are. Raises NetlinkError."""
        return self._replies(request, _DUMP)

    def _replies(self, request: Request, flags: int) -> list[bytes]:
        first = self._send((request,), flags)
        found: list[bytes] = []
        while True:
            for kind, reply_flags, sequence, body in self._receive():
                if sequence != first:
                    continue
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    number = -_NUMBER.unpack_from(body)[0]
                    raise NetlinkError(number, _explanation(body, reply_flags), 0, request.about)
                found.append(body)
                if not flags & _DUMP:
                    return found

    def _send(self, requests: tuple[Request, ...], flags: int) -> int:
        """Returns the sequence number of the first."""
        first = self._sequence + 1
        self._sequence += len(requests)
        self._socket.send(
            b"".join(
                _HEADER.pack(_HEADER.size + len(each.body), each.type, each.flags | flags | _REQUEST, sequence, 0)
                + each.body
                for sequence, each in enumerate(requests, first)
            )
        )
        return first

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        received = self._socket.recv(_BUFFER)
        offset = 0
        while offset < len(received):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(received, offset)
            yield kind, flags, sequence, received[offset + _HEADER.size : offset + length]
            offset += _aligned(length)


def attribute(kind: int, value: bytes | int | str) -> bytes:
    """A number is 32 bits wide, a text ends in a zero byte."""
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def attributes(body: bytes, offset: int = 0) -> dict[int, bytes]:
    """What stands in ``body`` from ``offset`` on, by kind."""
    found: dict[int, bytes] = {}
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = body[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)
    return found


def text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _explanation(body: bytes, flags: int) -> str:
    """The kernel's own words about an error, if it has any. They stand after the header of the refused request."""
    request = _NUMBER.size + _HEADER.size
    if not flags & _ANSWERED_BRIEFLY:
        (length,) = struct.unpack_from("=I", body, _NUMBER.size)
        request = _NUMBER.size + _aligned(length)
    return text(attributes(body, request).get(_EXPLANATION, b""))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
