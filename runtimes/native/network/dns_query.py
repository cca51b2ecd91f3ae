"""One question to a name server, over UDP."""

from __future__ import annotations

import secrets
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

PORT = 53

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")
_ANSWER = struct.Struct("!HHIH")
_RECURSE, _RESPONSE, _CODE = 0x0100, 0x8000, 0x000F
_TYPES = {4: 1, 6: 28}
_INTERNET = 1
_POINTER = 0xC0
_LARGEST = 4096


def ask(
    server: IPv4Address | IPv6Address, name: str, *, version: int, patience: float
) -> list[IPv4Address | IPv6Address]:
    """The addresses that ``name`` has; none when the server knows of none, or says nothing for ``patience`` seconds.

    Raises OSError, but for nobody listening.
    """
    family = socket.AF_INET if server.version == 4 else socket.AF_INET6
    number, question = secrets.randbits(16), _question(name, version)
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(patience)
        try:
            asking.connect((str(server), PORT))
            asking.send(_HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + question)
            answer = asking.recv(_LARGEST)
        except (TimeoutError, ConnectionRefusedError):
            return []
    return _addresses(answer, number, len(question))


def _question(name: str, version: int) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode("ascii") for label in name.split("."))
    return labels + b"\0" + _QUESTION.pack(_TYPES[version], _INTERNET)


def _addresses(answer: bytes, number: int, question: int) -> list[IPv4Address | IPv6Address]:
    """Of an answer that repeats a question of ``question`` bytes. A malformed one has none."""
    found: list[IPv4Address | IPv6Address] = []
    try:
        answered, flags, _, count, _, _ = _HEADER.unpack_from(answer)
        if answered != number or not flags & _RESPONSE or flags & _CODE:
            return found
        offset = _HEADER.size + question
        for _ in range(count):
            offset = _behind_name(answer, offset)
            kind, _, _, length = _ANSWER.unpack_from(answer, offset)
            offset += _ANSWER.size
            if kind in _TYPES.values():
                found.append(ip_address(answer[offset : offset + length]))
            offset += length
    except (struct.error, IndexError, ValueError):
        return []
    return found


def _behind_name(answer: bytes, offset: int) -> int:
    while (length := answer[offset]) and length < _POINTER:
        offset += 1 + length
    return offset + (2 if length else 1)
