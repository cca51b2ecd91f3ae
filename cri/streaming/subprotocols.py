"""The names of the protocols above SPDY and WebSocket, and what follows from each. Tables and pure decisions only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

STREAM_TYPE = "streamtype"
"""The header of a SPDY stream that says what it is for; SPDY names are in lower case."""

PORT = "port"
REQUEST_ID = "requestid"


class Channel(IntEnum):
    """The first byte of a WebSocket message of a command session."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4


CLOSE_SIGNAL = 255
"""In version 5, this byte and a channel's number make a message that half-closes the channel."""


@dataclass(frozen=True, slots=True)
class SpdyProtocol:
    """A version of the command protocol over SPDY streams."""

    name: str
    resizes: bool
    structured_status: bool


SPDY_COMMAND = {
    protocol.name: protocol
    for protocol in (
        SpdyProtocol("v4.channel.k8s.io", resizes=True, structured_status=True),
        SpdyProtocol("v3.channel.k8s.io", resizes=True, structured_status=False),
        SpdyProtocol("v2.channel.k8s.io", resizes=False, structured_status=False),
        SpdyProtocol("channel.k8s.io", resizes=False, structured_status=False),
    )
}
SPDY_PORT_FORWARD = "portforward.k8s.io"
TUNNELED_PORT_FORWARD = f"SPDY/3.1+{SPDY_PORT_FORWARD}"
"""A WebSocket whose binary messages, end to end, are the bytes of a SPDY connection."""


@dataclass(frozen=True, slots=True)
class WebSocketProtocol:
    """A version of the channel protocol over WebSocket messages; the empty name is a client that asks for none."""

    name: str
    base64: bool = False
    structured_status: bool = False
    close_signal: bool = False


_V4 = WebSocketProtocol("v4.channel.k8s.io", structured_status=True)
_V4_BASE64 = WebSocketProtocol("v4.base64.channel.k8s.io", base64=True, structured_status=True)
_UNNAMED = WebSocketProtocol("")

WEBSOCKET_COMMAND = {
    protocol.name: protocol
    for protocol in (
        WebSocketProtocol("v5.channel.k8s.io", structured_status=True, close_signal=True),
        _V4,
        _V4_BASE64,
        WebSocketProtocol("channel.k8s.io"),
        WebSocketProtocol("base64.channel.k8s.io", base64=True),
        _UNNAMED,
    )
}
MAX_FORWARDED_PORTS = 127
"""A channel's number is one byte, and each port has two channels."""

WEBSOCKET_PORT_FORWARD = {protocol.name: protocol for protocol in (_V4, _V4_BASE64, _UNNAMED)}


def negotiate(offered: Sequence[str], supported: Iterable[str]) -> str | None:
    """The first of the client's protocols that we have, as the Go server chooses; None when there is none."""
    ours = set(supported)
    return next((name for name in offered if name in ours), None)
