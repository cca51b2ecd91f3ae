"""An exec or attach session on the server: standard streams over SPDY streams or WebSocket channels."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from wsproto.frame_protocol import CloseReason

from cri.errors import CRIError
from cri.streaming import status
from cri.streaming.channels import ChannelClosed, ChannelCodec, ChannelData, ChannelError
from cri.streaming.pipes import InboundStream, OutboundStream, Sink, SizeQueue, StreamIO
from cri.streaming.spdy import Role
from cri.streaming.spdy_session import SpdySession, SpdyStream
from cri.streaming.subprotocols import STREAM_TYPE, Channel, SpdyProtocol, WebSocketProtocol
from cri.streaming.transport import (
    LINGER,
    Disconnected,
    IdleTimeout,
    IdleWatch,
    Transport,
    cancel,
    wait_for_space,
    while_connected,
)
from cri.streaming.websocket import WebSocket
from cri.v1 import api_pb2 as v1

log = logging.getLogger(__name__)

CommandRequest = v1.ExecRequest | v1.AttachRequest
RunCommand = Callable[[StreamIO], Coroutine[Any, Any, int]]
"""Runs the handler and returns the exit code; attach has none and returns 0."""


class CommandConnection(Protocol):
    """What both transports give to ``serve_command``."""

    async def read(self) -> None:
        """Serve the connection until the peer leaves."""

    async def streams(self) -> StreamIO:
        """The streams, once the client has made them."""

    async def finish(self, outcome: status.Outcome) -> None:
        """End all streams, tell the outcome and say goodbye."""


async def serve_command(
    connection: CommandConnection, run: RunCommand, idle: IdleWatch, *, creation_timeout: float
) -> None:
    """One session from its handshake to its end. The handler is cancelled when the client goes away."""
    reading = asyncio.create_task(connection.read())
    idling = asyncio.create_task(idle.expire())
    try:
        async with asyncio.timeout(creation_timeout):
            io = await while_connected(connection.streams(), reading)
        try:
            outcome, patience = await while_connected(_outcome(run, io), reading, idling), idle.limit
        except IdleTimeout as error:
            outcome, patience = status.Outcome(failure=str(error)), LINGER
        io.stdin.abandon()
        # A client may take its time over the last of the output, as one that pages it does.
        async with asyncio.timeout(patience):
            await while_connected(connection.finish(outcome), reading)
        # Until the client has hung up, what it still sends must be read: closing over unread bytes makes the kernel
        # throw away our last ones.
        await asyncio.wait({reading}, timeout=LINGER)
    except ConnectionError as error:
        log.debug("the client left before its session was over: %s", error)
    except TimeoutError:
        log.info("a streaming client was too slow to open its streams or to take the last output")
    finally:
        await cancel(reading, idling)


async def _outcome(run: RunCommand, io: StreamIO) -> status.Outcome:
    try:
        return status.exited(await run(io))
    except CRIError as error:
        return status.Outcome(failure=error.message)
    except ConnectionError as error:
        # Mostly the client's own connection, and then nobody hears this.
        return status.Outcome(failure=f"the connection broke: {error}")
    except Exception as error:
        log.exception("a streaming handler failed")
        return status.Outcome(failure=f"internal error: {type(error).__name__}; the server's log has the details")


class SpdyCommand:
    """The client opens one stream for each standard stream, one for the outcome, and one for terminal sizes."""

    def __init__(self, transport: Transport, protocol: SpdyProtocol, request: CommandRequest, idle: IdleWatch) -> None:
        self._session = SpdySession(transport, Role.SERVER, idle, self._accept)
        self._transport = transport
        self._protocol = protocol
        self._expected = {"error"}
        self._expected |= {name for name in ("stdin", "stdout", "stderr") if getattr(request, name)}
        if request.tty and protocol.resizes:
            self._expected.add("resize")
        self._streams: dict[str, SpdyStream] = {}
        self._complete = asyncio.Event()
        self._sizes = SizeQueue()
        self.read = self._session.read

    def _accept(self, stream: SpdyStream) -> bool:
        kind = stream.headers.get(STREAM_TYPE, "")
        if kind not in self._expected or kind in self._streams:
            log.debug("refused a stream of type %r; expected are %s", kind, sorted(self._expected))
            return False
        self._streams[kind] = stream
        if kind == "resize":
            stream.sink = self._sizes
        elif kind != "stdin":
            stream.inbound.abandon()
        if self._streams.keys() == self._expected:
            self._complete.set()
        return True

    async def streams(self) -> StreamIO:
        await self._complete.wait()
        stdin = self._streams.get("stdin")
        if "resize" not in self._streams:
            self._sizes.feed_eof()
        return StreamIO(
            stdin=stdin.inbound if stdin else _nothing(),
            stdout=self._output("stdout"),
            stderr=self._output("stderr"),
            resizes=self._sizes,
        )

    def _output(self, name: str) -> OutboundStream:
        stream = self._streams.get(name)
        return stream.outbound if stream else _discard()

    async def finish(self, outcome: status.Outcome) -> None:
        # The outcome comes last: the Go client reads its output to the end and then looks for it.
        error = self._streams.pop("error")
        for stream in self._streams.values():
            await stream.outbound.close()
        try:
            await error.outbound.write(status.encode(outcome, structured=self._protocol.structured_status))
        except BrokenPipeError:
            log.debug("the client does not want to know the outcome")
        await error.outbound.close()
        self._session.go_away()
        await self._transport.flush()


class WebSocketCommand:
    """All streams share one WebSocket, each in its channel."""

    def __init__(
        self, socket: WebSocket, protocol: WebSocketProtocol, request: CommandRequest, idle: IdleWatch
    ) -> None:
        self._socket = socket
        self._protocol = protocol
        self._codec = ChannelCodec(protocol)
        self._idle = idle
        stdin, sizes = InboundStream(), SizeQueue()
        if not request.stdin:
            stdin.abandon()
        if not request.tty:
            sizes.feed_eof()
        self._sinks: dict[int, Sink] = {Channel.STDIN: stdin, Channel.RESIZE: sizes}
        self._io = StreamIO(
            stdin=stdin,
            stdout=self._output(Channel.STDOUT) if request.stdout else _discard(),
            stderr=self._output(Channel.STDERR) if request.stderr else _discard(),
            resizes=sizes,
        )
        writable = (Channel.STDOUT, request.stdout), (Channel.STDERR, request.stderr), (Channel.ERROR, True)
        self._greeting_channel = next(channel for channel, wanted in writable if wanted)

    def _output(self, channel: Channel) -> OutboundStream:
        return OutboundStream(lambda data: self._send(channel, data), _no_half_close)

    async def _send(self, channel: Channel, data: bytes) -> None:
        self._idle.touch()
        await self._socket.send(self._codec.encode(channel, data))

    async def read(self) -> None:
        try:
            while (piece := await self._socket.receive()) is not None:
                for said in self._codec.decode(piece):
                    self._idle.touch()
                    if (sink := self._sinks.get(said.channel)) is None:
                        continue
                    match said:
                        case ChannelData(data=data):
                            sink.feed(data)
                            await wait_for_space(sink, self._socket.ping)
                        case ChannelClosed():
                            sink.feed_eof()
        except ChannelError as error:
            self._socket.close(CloseReason.INVALID_FRAME_PAYLOAD_DATA, str(error))
            raise
        except ConnectionError:
            return  # found while writing: the peer has left
        finally:
            for sink in self._sinks.values():
                sink.fail(Disconnected("the client closed the connection"))

    async def streams(self) -> StreamIO:
        # Clients wait for a first message, if an empty one, to know that the session is up.
        await self._socket.send(self._codec.encode(self._greeting_channel, b""))
        return self._io

    async def finish(self, outcome: status.Outcome) -> None:
        if said := status.encode(outcome, structured=self._protocol.structured_status):
            await self._socket.send(self._codec.encode(Channel.ERROR, said))
        self._socket.close()
        await self._socket.flush()


def _nothing() -> InboundStream:
    stream = InboundStream()
    stream.feed_eof()
    return stream


def _discard() -> OutboundStream:
    async def drop(data: bytes) -> None:
        return

    return OutboundStream(drop, _no_half_close)


async def _no_half_close() -> None:
    """The server's channels of a WebSocket end only with the WebSocket."""
