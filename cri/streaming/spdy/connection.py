"""One SPDY/3.1 connection as a state machine: bytes and wishes in, events and bytes out.

Rule 1: a stream's state changes only through ``_TRANSITIONS``.

Flow control is deliberately absent, on both sides. The Go library behind crictl, the kubelet, containerd and CRI-O
never sends WINDOW_UPDATE and never looks at one, so a sender that waited for a window would stall after 64 KiB. What
holds a fast peer back is the transport underneath: who owns this connection stops reading when its buffers are full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cri.streaming.spdy import events, frames
from cri.streaming.spdy.errors import ConnectionClosing, InvalidStreamId, StreamClosed
from cri.streaming.spdy.frames import GoAwayStatus, ResetStatus
from cri.streaming.spdy.headers import HeaderDecoder, HeaderEncoder
from cri.streaming.spdy.parser import FrameParser


class Role(Enum):
    """The client opens odd streams, the server even ones."""

    CLIENT = 1
    SERVER = 2


class StreamState(Enum):
    OPEN = auto()
    LOCAL_ENDED = auto()
    REMOTE_ENDED = auto()
    CLOSED = auto()


class _Step(Enum):
    LOCAL_FIN = auto()
    REMOTE_FIN = auto()
    RESET = auto()


_TRANSITIONS: dict[StreamState, dict[_Step, StreamState]] = {
    StreamState.OPEN: {
        _Step.LOCAL_FIN: StreamState.LOCAL_ENDED,
        _Step.REMOTE_FIN: StreamState.REMOTE_ENDED,
        _Step.RESET: StreamState.CLOSED,
    },
    StreamState.LOCAL_ENDED: {_Step.REMOTE_FIN: StreamState.CLOSED, _Step.RESET: StreamState.CLOSED},
    StreamState.REMOTE_ENDED: {_Step.LOCAL_FIN: StreamState.CLOSED, _Step.RESET: StreamState.CLOSED},
    StreamState.CLOSED: {},
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may make us hold. Bytes, except for the counts."""

    control_payload: int = 64 * 1024
    header_bytes: int = 64 * 1024
    header_count: int = 100
    streams: int = 1024
    """Streams that are open at once; one more is refused, and the connection goes on."""


@dataclass(slots=True)
class _Stream:
    state: StreamState = StreamState.OPEN
    replied: bool = False


class Connection:
    """``receive`` what came from the wire; send ``data_to_send`` after every call of anything."""

    def __init__(self, role: Role, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._max_streams = limits.streams
        self._parser = FrameParser(limits.control_payload)
        self._encoder = HeaderEncoder()
        self._decoder = HeaderDecoder(limits.header_bytes, limits.header_count)
        self._outgoing = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._next_stream_id = self._parity = role.value % 2 or 2
        self._next_ping_id = self._parity
        self._last_peer_stream = 0
        self._going_away = False

    def is_open(self, stream_id: int) -> bool:
        """Whether either direction of the stream is still open."""
        return stream_id in self._streams

    def data_to_send(self) -> bytes:
        """Everything that is to be written now; a second call is empty. Whole frames, so one write carries each."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, data: bytes) -> Iterator[events.Event]:
        """The events that ``data`` causes. Raises ProtocolError when the connection cannot go on."""
        for frame in self._parser.feed(data):
            yield from _RECEIVE[type(frame)](self, frame)

    # --- our side -------------------------------------------------------------------------------------------

    def open_stream(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Start a stream and return its id; the peer answers with StreamAccepted or StreamReset."""
        if self._going_away:
            raise ConnectionClosing("no stream can be opened after GOAWAY")
        stream_id = self._next_stream_id
        if stream_id > frames.MAX_STREAM_ID:
            raise ConnectionClosing("all stream ids of this connection are used up")
        self._next_stream_id += 2
        self._streams[stream_id] = _Stream()
        self._send(frames.SynStream(stream_id, self._encoder.encode(headers), fin=fin))
        if fin:
            self._step(stream_id, _Step.LOCAL_FIN)
        return stream_id

    def reply(self, stream_id: int, headers: Mapping[str, str] | None = None) -> None:
        """Accept a stream that the peer opened; once, and before any data."""
        stream = self._stream_for_sending(stream_id)
        if stream.replied or stream_id % 2 == self._parity % 2:
            raise StreamClosed(stream_id, "it does not wait for a reply")
        stream.replied = True
        self._send(frames.SynReply(stream_id, self._encoder.encode(headers or {})))

    def send_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        self._stream_for_sending(stream_id)
        self._send(frames.Data(stream_id, data, fin=fin))
        if fin:
            self._step(stream_id, _Step.LOCAL_FIN)

    def reset(self, stream_id: int, status: ResetStatus = ResetStatus.CANCEL) -> None:
        """End a stream at once; nothing happens when it is gone already."""
        if stream_id in self._streams:
            self._send(frames.RstStream(stream_id, status))
            self._step(stream_id, _Step.RESET)

    def ping(self) -> int:
        ping_id = self._next_ping_id
        self._next_ping_id = (self._next_ping_id + 2) % 0x1_0000_0000
        self._send(frames.Ping(ping_id))
        return ping_id

    def go_away(self, status: GoAwayStatus = GoAwayStatus.OK) -> None:
        """Tell the peer that this is the end; open streams may still finish."""
        if not self._going_away:
            self._going_away = True
            self._send(frames.GoAway(self._last_peer_stream, status))

    # --- the peer's side ------------------------------------------------------------------------------------

    def _on_syn_stream(self, frame: frames.SynStream) -> Iterator[events.Event]:
        headers = self._decoder.decode(frame.header_block)
        if frame.stream_id % 2 == self._parity % 2 or frame.stream_id <= self._last_peer_stream:
            raise InvalidStreamId(f"the peer may not open stream {frame.stream_id} after {self._last_peer_stream}")
        self._last_peer_stream = frame.stream_id
        if self._going_away:
            return
        # Nobody in CRI's world opens a stream that cannot be answered.
        if frame.unidirectional or len(self._streams) >= self._max_streams:
            self._send(frames.RstStream(frame.stream_id, ResetStatus.REFUSED_STREAM))
            return
        self._streams[frame.stream_id] = _Stream()
        yield events.StreamOpened(frame.stream_id, headers)
        if frame.fin:
            yield from self._end(frame.stream_id)

    def _on_syn_reply(self, frame: frames.SynReply) -> Iterator[events.Event]:
        headers = self._decoder.decode(frame.header_block)
        stream = self._streams.get(frame.stream_id)
        if stream is None:
            return
        if frame.stream_id % 2 != self._parity % 2 or stream.replied:
            yield from self._misused(frame.stream_id, ResetStatus.STREAM_IN_USE)
            return
        stream.replied = True
        yield events.StreamAccepted(frame.stream_id, headers)
        if frame.fin:
            yield from self._end(frame.stream_id)

    def _on_headers(self, frame: frames.Headers) -> Iterator[events.Event]:
        headers = self._decoder.decode(frame.header_block)
        if self._can_receive(frame.stream_id):
            yield events.HeadersReceived(frame.stream_id, headers)
            if frame.fin:
                yield from self._end(frame.stream_id)

    def _on_data(self, frame: frames.Data) -> Iterator[events.Event]:
        if frame.stream_id not in self._streams:
            # Data that crossed our reset is dropped; a stream that never was is the peer's mistake.
            if frame.stream_id > self._last_peer_stream and frame.stream_id % 2 != self._parity % 2:
                self._send(frames.RstStream(frame.stream_id, ResetStatus.INVALID_STREAM))
            return
        if not self._can_receive(frame.stream_id):
            yield from self._misused(frame.stream_id, ResetStatus.STREAM_ALREADY_CLOSED)
            return
        if frame.data:
            yield events.DataReceived(frame.stream_id, frame.data)
        if frame.fin:
            yield from self._end(frame.stream_id)

    def _on_rst_stream(self, frame: frames.RstStream) -> Iterator[events.Event]:
        if frame.stream_id in self._streams:
            self._step(frame.stream_id, _Step.RESET)
            yield events.StreamReset(frame.stream_id, frame.status)

    def _on_ping(self, frame: frames.Ping) -> Iterator[events.Event]:
        if frame.id % 2 == self._parity % 2:
            yield events.PingAnswered(frame.id)
        else:
            self._send(frame)

    def _on_goaway(self, frame: frames.GoAway) -> Iterator[events.Event]:
        self._going_away = True
        yield events.GoneAway(frame.last_stream_id, frame.status)

    def _on_ignored(self, frame: frames.Settings | frames.WindowUpdate) -> Iterator[events.Event]:
        return iter(())

    # --- shared ---------------------------------------------------------------------------------------------

    def _send(self, frame: frames.Frame) -> None:
        self._outgoing += frame.encode()

    def _stream_for_sending(self, stream_id: int) -> _Stream:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise StreamClosed(stream_id, "it is closed or was never open")
        if stream.state is StreamState.LOCAL_ENDED:
            raise StreamClosed(stream_id, "its end was already sent")
        return stream

    def _can_receive(self, stream_id: int) -> bool:
        stream = self._streams.get(stream_id)
        return stream is not None and stream.state is not StreamState.REMOTE_ENDED

    def _end(self, stream_id: int) -> Iterator[events.Event]:
        # The owner may have reset the stream between two events of one batch.
        if self._can_receive(stream_id):
            self._step(stream_id, _Step.REMOTE_FIN)
            yield events.StreamEnded(stream_id)

    def _misused(self, stream_id: int, status: ResetStatus) -> Iterator[events.Event]:
        self.reset(stream_id, status)
        yield events.StreamReset(stream_id, status)

    def _step(self, stream_id: int, step: _Step) -> None:
        stream = self._streams[stream_id]
        stream.state = _TRANSITIONS[stream.state][step]
        if stream.state is StreamState.CLOSED:
            del self._streams[stream_id]


_RECEIVE: dict[type[frames.Frame], Callable[[Connection, Any], Iterator[events.Event]]] = {
    frames.SynStream: Connection._on_syn_stream,
    frames.SynReply: Connection._on_syn_reply,
    frames.Headers: Connection._on_headers,
    frames.Data: Connection._on_data,
    frames.RstStream: Connection._on_rst_stream,
    frames.Ping: Connection._on_ping,
    frames.GoAway: Connection._on_goaway,
    frames.Settings: Connection._on_ignored,
    frames.WindowUpdate: Connection._on_ignored,
}
