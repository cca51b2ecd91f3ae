"""The SPDY/3.1 frames as plain values: each can encode itself and decode its payload.

Header blocks stay compressed here: their compression depends on the whole connection and lives in ``headers``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar

from cri.streaming.spdy.errors import FrameTooLarge, MalformedFrame

VERSION = 3
MAX_STREAM_ID = 0x7FFFFFFF
MAX_LENGTH = 0xFFFFFF
"""Length fields have 24 bits."""

_CONTROL_BIT = 0x8000
HEAD = struct.Struct(">II")
_WORD = struct.Struct(">I")
_PAIR = struct.Struct(">II")


class FrameType(IntEnum):
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class ResetStatus(IntEnum):
    """Why a stream was reset. The peer's number may be one that is not here: it is kept as a plain int."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    UNSUPPORTED_VERSION = 4
    CANCEL = 5
    INTERNAL_ERROR = 6
    FLOW_CONTROL_ERROR = 7
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9
    FRAME_TOO_LARGE = 11


class GoAwayStatus(IntEnum):
    OK = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


class Flag(IntFlag):
    NONE = 0
    FIN = 1
    UNIDIRECTIONAL = 2


def _control(kind: FrameType, flags: int, payload: bytes) -> bytes:
    if len(payload) > MAX_LENGTH:
        raise FrameTooLarge(f"a {kind.name} payload of {len(payload)} bytes does not fit a 24-bit length")
    return HEAD.pack((_CONTROL_BIT | VERSION) << 16 | kind, flags << 24 | len(payload)) + payload


def require_stream_id(word: int, frame: str) -> int:
    stream_id = word & MAX_STREAM_ID
    if not stream_id:
        raise MalformedFrame(f"{frame} names stream 0")
    return stream_id


def _exactly(payload: bytes, size: int, frame: str) -> None:
    if len(payload) != size:
        raise MalformedFrame(f"{frame} has a payload of {len(payload)} bytes instead of {size}")


def _at_least(payload: bytes, size: int, frame: str) -> None:
    if len(payload) < size:
        raise MalformedFrame(f"{frame} has a payload of {len(payload)} bytes, at least {size} are needed")


@dataclass(frozen=True, slots=True)
class SynStream:
    """Opens a stream. ``priority`` is 0 (highest) to 7; ``slot`` belongs to credentials, which nobody uses."""

    stream_id: int
    header_block: bytes
    fin: bool = False
    unidirectional: bool = False
    associated_to: int = 0
    priority: int = 0
    slot: int = 0

    _FIELDS: ClassVar[struct.Struct] = struct.Struct(">IIBB")

    def encode(self) -> bytes:
        flags = Flag.FIN * self.fin | Flag.UNIDIRECTIONAL * self.unidirectional
        fields = self._FIELDS.pack(self.stream_id, self.associated_to, self.priority << 5, self.slot)
        return _control(FrameType.SYN_STREAM, flags, fields + self.header_block)

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> SynStream:
        _at_least(payload, cls._FIELDS.size, "SYN_STREAM")
        stream_id, associated_to, priority, slot = cls._FIELDS.unpack_from(payload)
        return cls(
            require_stream_id(stream_id, "SYN_STREAM"),
            payload[cls._FIELDS.size :],
            fin=bool(flags & Flag.FIN),
            unidirectional=bool(flags & Flag.UNIDIRECTIONAL),
            associated_to=associated_to & MAX_STREAM_ID,
            priority=priority >> 5,
            slot=slot,
        )


@dataclass(frozen=True, slots=True)
class SynReply:
    """Accepts a stream."""

    stream_id: int
    header_block: bytes
    fin: bool = False

    def encode(self) -> bytes:
        return _control(FrameType.SYN_REPLY, Flag.FIN * self.fin, _WORD.pack(self.stream_id) + self.header_block)

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> SynReply:
        _at_least(payload, 4, "SYN_REPLY")
        stream_id = require_stream_id(_WORD.unpack_from(payload)[0], "SYN_REPLY")
        return cls(stream_id, payload[4:], fin=bool(flags & Flag.FIN))


@dataclass(frozen=True, slots=True)
class Headers:
    """More headers for an open stream."""

    stream_id: int
    header_block: bytes
    fin: bool = False

    def encode(self) -> bytes:
        return _control(FrameType.HEADERS, Flag.FIN * self.fin, _WORD.pack(self.stream_id) + self.header_block)

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> Headers:
        _at_least(payload, 4, "HEADERS")
        stream_id = require_stream_id(_WORD.unpack_from(payload)[0], "HEADERS")
        return cls(stream_id, payload[4:], fin=bool(flags & Flag.FIN))


@dataclass(frozen=True, slots=True)
class RstStream:
    """Ends a stream at once, in both directions."""

    stream_id: int
    status: int

    def encode(self) -> bytes:
        return _control(FrameType.RST_STREAM, 0, _PAIR.pack(self.stream_id, self.status))

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> RstStream:
        _exactly(payload, 8, "RST_STREAM")
        stream_id, status = _PAIR.unpack(payload)
        if not status:
            raise MalformedFrame("RST_STREAM has status 0")
        return cls(require_stream_id(stream_id, "RST_STREAM"), status)


@dataclass(frozen=True, slots=True)
class Setting:
    id: int
    value: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """Hints about the connection. Clients of CRI neither send nor heed them."""

    entries: tuple[Setting, ...]
    flags: int = 0

    def encode(self) -> bytes:
        body = b"".join(_PAIR.pack(entry.flags << 24 | entry.id, entry.value) for entry in self.entries)
        return _control(FrameType.SETTINGS, self.flags, _WORD.pack(len(self.entries)) + body)

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> Settings:
        _at_least(payload, 4, "SETTINGS")
        count = _WORD.unpack_from(payload)[0]
        _exactly(payload, 4 + 8 * count, "SETTINGS")
        entries = tuple(Setting(word & MAX_LENGTH, value, word >> 24) for word, value in _PAIR.iter_unpack(payload[4:]))
        return cls(entries, flags)


@dataclass(frozen=True, slots=True)
class Ping:
    """Comes back unchanged. Ids are odd when the client began, even when the server did."""

    id: int

    def encode(self) -> bytes:
        return _control(FrameType.PING, 0, _WORD.pack(self.id))

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> Ping:
        _exactly(payload, 4, "PING")
        return cls(_WORD.unpack(payload)[0])


@dataclass(frozen=True, slots=True)
class GoAway:
    """The sender takes no new streams; those after ``last_stream_id`` were never looked at."""

    last_stream_id: int
    status: int = GoAwayStatus.OK

    def encode(self) -> bytes:
        return _control(FrameType.GOAWAY, 0, _PAIR.pack(self.last_stream_id, self.status))

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> GoAway:
        _exactly(payload, 8, "GOAWAY")
        last, status = _PAIR.unpack(payload)
        return cls(last & MAX_STREAM_ID, status)


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """Flow control; stream 0 means the connection (SPDY/3.1)."""

    stream_id: int
    delta: int

    def encode(self) -> bytes:
        return _control(FrameType.WINDOW_UPDATE, 0, _PAIR.pack(self.stream_id, self.delta))

    @classmethod
    def decode(cls, flags: int, payload: bytes) -> WindowUpdate:
        _exactly(payload, 8, "WINDOW_UPDATE")
        stream_id, delta = _PAIR.unpack(payload)
        if not delta & MAX_STREAM_ID:
            raise MalformedFrame("WINDOW_UPDATE has delta 0")
        return cls(stream_id & MAX_STREAM_ID, delta & MAX_STREAM_ID)


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream: a whole frame, or the next piece of one; ``fin`` is only on its last piece."""

    stream_id: int
    data: bytes
    fin: bool = False

    def encode(self) -> bytes:
        if len(self.data) > MAX_LENGTH:
            raise FrameTooLarge(f"{len(self.data)} bytes of data do not fit a 24-bit length")
        return HEAD.pack(self.stream_id, (Flag.FIN * self.fin) << 24 | len(self.data)) + self.data


ControlFrame = SynStream | SynReply | Headers | RstStream | Settings | Ping | GoAway | WindowUpdate
Frame = ControlFrame | Data
