"""A SPDY connection over asyncio: ``spdy.Connection`` decides, this moves the bytes and wakes who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from cri.streaming.pipes import DuplexStream, InboundStream, OutboundStream, Sink
from cri.streaming.spdy import Connection, GoAwayStatus, Limits, ProtocolError, ResetStatus, Role, StreamClosed, events
from cri.streaming.transport import Disconnected, IdleWatch, Transport, wait_for_space


class SpdyStream:
    """One stream of a session. Whoever takes it may put another ``sink`` in the place of ``inbound``."""

    def __init__(self, session: SpdySession, stream_id: int, headers: Mapping[str, str]) -> None:
        self.id = stream_id
        self.headers = headers
        self.inbound = InboundStream()
        self.sink: Sink = self.inbound
        self.outbound = OutboundStream(
            lambda data: session.send(stream_id, data), lambda: session.end_stream(stream_id)
        )
        self.cancel_ends = False
        """A peer that cancels the stream ends it: the Go servers do so with all streams of a session that is over."""
        self.was_reset = False
        """The peer wants neither to read nor to write here any more."""
        self.on_reset: Callable[[], object] | None = None

    @property
    def duplex(self) -> DuplexStream:
        return DuplexStream(self.inbound, self.outbound)


class SpdySession:
    """Either end of a SPDY connection. ``accept`` is asked about each stream that the peer opens."""

    def __init__(
        self,
        transport: Transport,
        role: Role,
        idle: IdleWatch,
        accept: Callable[[SpdyStream], bool] = lambda stream: False,
        limits: Limits | None = None,
    ) -> None:
        self._transport = transport
        self._connection = Connection(role, limits)
        self._idle = idle
        self._accept = accept
        self._streams: dict[int, SpdyStream] = {}
        self._waiting_for_reply: dict[int, asyncio.Future[None]] = {}
        self._gone = False
        self._over: Disconnected | None = None

    async def read(self) -> None:
        """Serve the connection until the peer leaves. Raises ProtocolError, after it was told to the peer."""
        try:
            while not self._gone and (data := await self._transport.receive()):
                for event in self._connection.receive(data):
                    await self._handle(event)
                await self._push()
        except ProtocolError:
            self.go_away(GoAwayStatus.PROTOCOL_ERROR)
            raise
        except ConnectionError:
            return  # found while writing: the peer has left
        finally:
            self._over = Disconnected("the peer closed the connection")
            self._fail_all(self._over)

    async def open(self, headers: Mapping[str, str], *, cancel_ends: bool = False) -> SpdyStream:
        """A new stream that the peer has accepted. Raises ConnectionError when it does not."""
        if self._over is not None:
            raise self._over
        stream_id = self._connection.open_stream(headers)
        stream = self._streams[stream_id] = SpdyStream(self, stream_id, headers)
        stream.cancel_ends = cancel_ends
        reply = self._waiting_for_reply[stream_id] = asyncio.get_running_loop().create_future()
        try:
            await self._push()
            await reply
        except BaseException:
            self._connection.reset(stream_id)
            self._streams.pop(stream_id, None)
            raise
        finally:
            self._waiting_for_reply.pop(stream_id, None)
        return stream

    async def send(self, stream_id: int, data: bytes) -> None:
        try:
            self._connection.send_data(stream_id, data)
        except StreamClosed as error:
            raise BrokenPipeError(str(error)) from error
        self._idle.touch()
        await self._push()

    async def end_stream(self, stream_id: int) -> None:
        """Half-close; nothing happens when the stream is gone already."""
        try:
            self._connection.send_data(stream_id, b"", fin=True)
        except StreamClosed:
            return
        self._forget_if_closed(stream_id)
        await self._push()

    async def reset(self, stream: SpdyStream, status: ResetStatus = ResetStatus.CANCEL) -> None:
        self._connection.reset(stream.id, status)
        self._streams.pop(stream.id, None)
        stream.inbound.abandon()
        await self._push()

    def go_away(self, status: GoAwayStatus = GoAwayStatus.OK) -> None:
        """Announce the end of the session, without waiting for anyone to hear it."""
        self._connection.go_away(status)
        self._transport.write(self._connection.data_to_send())

    async def _handle(self, event: events.Event) -> None:
        match event:
            case events.DataReceived(stream_id=stream_id, data=data):
                await self._deliver(stream_id, data)
            case events.StreamOpened(stream_id=stream_id, headers=headers):
                await self._offer(SpdyStream(self, stream_id, headers))
            case events.StreamEnded(stream_id=stream_id):
                if (stream := self._streams.get(stream_id)) is not None:
                    stream.sink.feed_eof()
                    self._forget_if_closed(stream_id)
            case events.StreamAccepted(stream_id=stream_id):
                self._note_reply(stream_id)
            case events.StreamReset(stream_id=stream_id, status=status):
                self._lose(stream_id, cancelled=status == ResetStatus.CANCEL)
            case events.GoneAway():
                # The Go clients say this when they are done with everything, not only with opening streams.
                self._gone = True

    async def _deliver(self, stream_id: int, data: bytes) -> None:
        if (stream := self._streams.get(stream_id)) is not None:
            self._idle.touch()
            stream.sink.feed(data)
            await wait_for_space(stream.sink, self._ping)

    def _note_reply(self, stream_id: int) -> None:
        if (reply := self._waiting_for_reply.get(stream_id)) is not None and not reply.done():
            reply.set_result(None)

    async def _offer(self, stream: SpdyStream) -> None:
        self._streams[stream.id] = stream
        # The reply goes first: once accepted, a stream may be written to at once.
        self._connection.reply(stream.id)
        if not self._accept(stream):
            self._connection.reset(stream.id, ResetStatus.REFUSED_STREAM)
            del self._streams[stream.id]
        await self._push()

    def _lose(self, stream_id: int, *, cancelled: bool) -> None:
        error = ConnectionResetError(f"the peer reset stream {stream_id}")
        if (stream := self._streams.pop(stream_id, None)) is not None:
            if cancelled and stream.cancel_ends:
                stream.sink.feed_eof()
            stream.sink.fail(error)
            stream.was_reset = True
            if stream.on_reset is not None:
                stream.on_reset()
        if (reply := self._waiting_for_reply.get(stream_id)) is not None and not reply.done():
            reply.set_exception(error)

    def _fail_all(self, error: ConnectionError) -> None:
        for stream in self._streams.values():
            stream.sink.fail(error)
        self._streams.clear()
        for reply in self._waiting_for_reply.values():
            if not reply.done():
                reply.set_exception(error)

    def _forget_if_closed(self, stream_id: int) -> None:
        if not self._connection.is_open(stream_id):
            self._streams.pop(stream_id, None)

    async def _ping(self) -> None:
        self._connection.ping()
        await self._push()

    async def _push(self) -> None:
        if data := self._connection.data_to_send():
            self._transport.write(data)
            await self._transport.drain()
