"""The parser that cuts a byte stream into SPDY frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cri.streaming.spdy import frames
from cri.streaming.spdy.errors import FrameTooLarge, MalformedFrame
from cri.streaming.spdy.frames import HEAD, MAX_LENGTH, VERSION, ControlFrame, Flag, Frame, FrameType, require_stream_id

_DECODERS: dict[int, Callable[[int, bytes], ControlFrame]] = {
    FrameType.SYN_STREAM: frames.SynStream.decode,
    FrameType.SYN_REPLY: frames.SynReply.decode,
    FrameType.RST_STREAM: frames.RstStream.decode,
    FrameType.SETTINGS: frames.Settings.decode,
    FrameType.PING: frames.Ping.decode,
    FrameType.GOAWAY: frames.GoAway.decode,
    FrameType.HEADERS: frames.Headers.decode,
    FrameType.WINDOW_UPDATE: frames.WindowUpdate.decode,
}


class FrameParser:
    """Bytes in, frames out. Holds at most one control frame: the data of data frames passes through in pieces."""

    def __init__(self, max_control_payload: int) -> None:
        self._max_control_payload = max_control_payload
        self._buffer = bytearray()
        # What is still to come of the data frame that we are in the middle of.
        self._data_stream = 0
        self._data_left = 0
        self._data_fin = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes. Exhaust the iterator before the next call."""
        self._buffer += data
        while (frame := self._next()) is not None:
            yield from frame

    def _next(self) -> tuple[Frame, ...] | None:
        """The next frame; an empty tuple for one to skip; None when more bytes are needed."""
        if self._data_left:
            return self._data_piece() if self._buffer else None
        if len(self._buffer) < HEAD.size:
            return None
        first, second = HEAD.unpack_from(self._buffer)
        flags, length = second >> 24, second & MAX_LENGTH
        if not first >> 31:
            self._data_stream = require_stream_id(first, "DATA")
            self._data_left, self._data_fin = length, bool(flags & Flag.FIN)
            del self._buffer[: HEAD.size]
            # An empty frame is complete already; it matters when it carries FIN.
            return () if length else (frames.Data(self._data_stream, b"", self._data_fin),)
        if (version := first >> 16 & 0x7FFF) != VERSION:
            raise MalformedFrame(f"control frame of SPDY version {version}, this is version {VERSION}")
        if length > self._max_control_payload:
            raise FrameTooLarge(f"control frame of {length} bytes, the limit is {self._max_control_payload}")
        if len(self._buffer) < HEAD.size + length:
            return None
        payload = bytes(self._buffer[HEAD.size : HEAD.size + length])
        del self._buffer[: HEAD.size + length]
        decode = _DECODERS.get(first & 0xFFFF)
        return (decode(flags, payload),) if decode else ()  # unknown types are to be ignored

    def _data_piece(self) -> tuple[Frame, ...]:
        piece = bytes(self._buffer[: self._data_left])
        del self._buffer[: len(piece)]
        self._data_left -= len(piece)
        return (frames.Data(self._data_stream, piece, fin=self._data_fin and not self._data_left),)
