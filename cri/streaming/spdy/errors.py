"""What can go wrong in SPDY: what the peer did wrong, and what we asked for that the state forbids."""

from __future__ import annotations


class SpdyError(Exception):
    """Base of everything that ``cri.streaming.spdy`` raises."""


class ProtocolError(SpdyError):
    """The peer broke the protocol in a way that ends the whole connection."""


class MalformedFrame(ProtocolError):
    """A frame whose fields contradict each other or the specification."""


class FrameTooLarge(ProtocolError):
    """A control frame longer than the limit; data frames have none, they pass through in pieces."""


class MalformedHeaders(ProtocolError):
    """A header block that does not decompress, or does not hold what it says it holds."""


class HeadersTooLarge(ProtocolError):
    """A header block that unfolds to more bytes or more headers than the limit."""


class InvalidStreamId(ProtocolError):
    """A stream id of the wrong parity, or not above all earlier ones."""


class StreamClosed(SpdyError):
    """We tried to use a stream, or a direction of it, that is no longer there."""

    def __init__(self, stream_id: int, what: str) -> None:
        super().__init__(f"stream {stream_id}: {what}")
        self.stream_id = stream_id


class ConnectionClosing(SpdyError):
    """We tried to open a stream after a GOAWAY, or after the last stream id was used."""
