"""What a connection tells its owner after it has received bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer opened a stream. Answer with ``reply`` or ``reset``."""

    stream_id: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StreamAccepted:
    """The peer answered a stream of ours."""

    stream_id: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    stream_id: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes on a stream, never empty."""

    stream_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer sends nothing more on this stream; our direction is untouched."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The stream is gone in both directions, by the peer's wish or because the peer misused it."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class PingAnswered:
    ping_id: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer takes no new streams."""

    last_stream_id: int
    status: int


Event = (
    StreamOpened | StreamAccepted | HeadersReceived | DataReceived | StreamEnded | StreamReset | PingAnswered | GoneAway
)
