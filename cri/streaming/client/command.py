"""The client of an exec or attach session."""

from __future__ import annotations

import asyncio
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from cri.errors import Internal, Unavailable
from cri.streaming import status
from cri.streaming.channels import ChannelCodec, ChannelData, ChannelError
from cri.streaming.client.handshake import HANDSHAKE_TIMEOUT, Target, connect, upgrade_to_spdy, upgrade_to_websocket
from cri.streaming.pipes import InboundStream, OutboundStream, TerminalSize
from cri.streaming.spdy import ProtocolError, Role
from cri.streaming.spdy_session import SpdySession, SpdyStream
from cri.streaming.subprotocols import STREAM_TYPE, WEBSOCKET_COMMAND, Channel, WebSocketProtocol
from cri.streaming.transport import Disconnected, IdleWatch, SocketTransport, cancel, wait_for_space
from cri.streaming.websocket import WebSocket

_WEBSOCKET_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_SPDY_PROTOCOL = "v4.channel.k8s.io"

Write = Callable[[bytes], Awaitable[object]]


class RemoteCommand(ABC):
    """A running command's streams. Read ``stdout`` and ``stderr`` at the same time: they share one connection."""

    stdin: OutboundStream
    stdout: InboundStream
    stderr: InboundStream
    can_end_stdin: bool
    """False over WebSocket v4 and earlier: there ``stdin.close`` cannot tell the command that its input has ended."""

    @abstractmethod
    async def wait(self) -> int:
        """The exit code, once the session is over; 0 for attach.

        Raises Internal when the command could not be run, in the server's words, and Unavailable when the connection
        broke first.
        """

    @abstractmethod
    async def resize(self, size: TerminalSize) -> None:
        """Tell the terminal's size; only of use with tty."""


def _exit_code(said: bytes) -> int:
    """Some servers end an attach session well and tell no outcome; that is a success to all clients."""
    outcome = status.decode(said) if said else status.Outcome()
    if outcome.failure:
        raise Internal(outcome.failure)
    return outcome.exit_code


def _size_message(size: TerminalSize) -> bytes:
    return json.dumps({"Width": size.width, "Height": size.height}).encode() + b"\n"


class _WebSocketCommand(RemoteCommand):
    def __init__(self, socket: WebSocket, protocol: WebSocketProtocol) -> None:
        self._socket = socket
        self._codec = ChannelCodec(protocol)
        self._said = bytearray()
        self._over = asyncio.Event()
        self._complete = False
        self.can_end_stdin = protocol.close_signal
        self.stdin = OutboundStream(lambda data: self._send(Channel.STDIN, data), self._end_stdin)
        self.stdout, self.stderr = InboundStream(), InboundStream()

    async def _send(self, channel: Channel, data: bytes) -> None:
        await self._socket.send(self._codec.encode(channel, data))

    async def _end_stdin(self) -> None:
        if (signal := self._codec.encode_close(Channel.STDIN)) is not None:
            await self._socket.send(signal)

    async def read(self) -> None:
        try:
            while (piece := await self._socket.receive()) is not None:
                for said in self._codec.decode(piece):
                    if isinstance(said, ChannelData):
                        await self._take(said)
        except (ChannelError, ConnectionError):
            self._socket.close()
        finally:
            # A session that ended well or told its outcome is complete, and only then are its outputs.
            self._complete = self._socket.ended_well or bool(self._said)
            for stream in (self.stdout, self.stderr):
                if self._complete:
                    stream.feed_eof()
                else:
                    stream.fail(Disconnected("the connection ended before the command did"))
            self._over.set()

    async def _take(self, said: ChannelData) -> None:
        if said.channel == Channel.ERROR:
            self._said += said.data[: status.MAX_STATUS - len(self._said)]
        elif said.channel in (Channel.STDOUT, Channel.STDERR):
            stream = self.stdout if said.channel == Channel.STDOUT else self.stderr
            stream.feed(said.data)
            await wait_for_space(stream, self._socket.ping)

    async def wait(self) -> int:
        await self._over.wait()
        if not self._complete:
            raise Unavailable("the connection ended before the command did")
        return _exit_code(bytes(self._said))

    async def resize(self, size: TerminalSize) -> None:
        await self._send(Channel.RESIZE, _size_message(size))


class _SpdyCommand(RemoteCommand):
    can_end_stdin = True

    def __init__(self, session: SpdySession) -> None:
        self._session = session

    async def open(self, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> None:
        """The server waits for exactly the streams that were asked for."""
        self._error = (await self._stream("error")).inbound
        absent = InboundStream()
        absent.feed_eof()
        self.stdin = (await self._stream("stdin")).outbound if stdin else OutboundStream(_refuse_input, _nothing_to_end)
        self.stdout = (await self._stream("stdout")).inbound if stdout else absent
        self.stderr = (await self._stream("stderr")).inbound if stderr else absent
        self._sizes = (await self._stream("resize")).outbound if tty else None

    async def _stream(self, kind: str) -> SpdyStream:
        return await self._session.open({STREAM_TYPE: kind}, cancel_ends=True)

    async def wait(self) -> int:
        try:
            said = await self._error.read_all(status.MAX_STATUS)
        except ConnectionError as error:
            raise Unavailable("the connection ended before the command did") from error
        return _exit_code(said)

    async def resize(self, size: TerminalSize) -> None:
        if self._sizes is not None:
            await self._sizes.write(_size_message(size))


async def _refuse_input(data: bytes) -> None:
    raise BrokenPipeError("the command was started without stdin")


async def _nothing_to_end() -> None:
    return


@asynccontextmanager
async def open_command(
    url: str,
    *,
    transport: Literal["websocket", "spdy"] = "websocket",
    stdin: bool = False,
    stdout: bool = True,
    stderr: bool = True,
    tty: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RemoteCommand]:
    """Connect to an exec or attach URL. The four flags are those of the request that the URL was made for.

    Leaving the block hangs up, which ends an exec'd command that still runs.
    """
    target = Target.parse(url, tls)
    async with connect(target) as connection:
        if transport == "spdy":
            opened = _over_spdy(connection, target, stdin=stdin, stdout=stdout, stderr=stderr and not tty, tty=tty)
        else:
            opened = _over_websocket(connection, target)
        async with opened as command:
            yield command


@asynccontextmanager
async def _over_websocket(connection: SocketTransport, target: Target) -> AsyncIterator[RemoteCommand]:
    socket, subprotocol = await upgrade_to_websocket(connection, target, _WEBSOCKET_PROTOCOLS)
    if subprotocol not in _WEBSOCKET_PROTOCOLS:
        raise Internal(f"the server chose the subprotocol {subprotocol!r}, which was not offered")
    command = _WebSocketCommand(socket, WEBSOCKET_COMMAND[subprotocol])
    reading = asyncio.create_task(command.read())
    try:
        yield command
    finally:
        await cancel(reading)


@asynccontextmanager
async def _over_spdy(
    connection: SocketTransport, target: Target, *, stdin: bool, stdout: bool, stderr: bool, tty: bool
) -> AsyncIterator[RemoteCommand]:
    protocol = await upgrade_to_spdy(connection, target, [_SPDY_PROTOCOL])
    if protocol != _SPDY_PROTOCOL:
        raise Internal(f"the server chose the protocol {protocol!r}, which was not offered")
    session = SpdySession(connection, Role.CLIENT, IdleWatch(float("inf")))
    reading = asyncio.create_task(session.read())
    try:
        command = _SpdyCommand(session)
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await command.open(stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
        except (ConnectionError, TimeoutError, ProtocolError) as error:
            raise Unavailable(f"the server did not take the command's streams: {error}") from error
        yield command
    finally:
        await cancel(reading)


async def run_command(
    url: str,
    *,
    stdin: AsyncIterable[bytes] | None = None,
    stdout: Write | None = None,
    stderr: Write | None = None,
    sizes: AsyncIterable[TerminalSize] | None = None,
    tty: bool = False,
    transport: Literal["websocket", "spdy"] = "websocket",
    tls: ssl.SSLContext | None = None,
) -> int:
    """Connect, copy all streams, and return the exit code. ``stdout`` and ``stderr`` are called with each piece.

    What is None is a stream that the request did not ask for. Errors are those of ``RemoteCommand.wait``.
    """
    wanted = {"stdin": stdin is not None, "stdout": stdout is not None, "stderr": stderr is not None}
    async with open_command(url, transport=transport, tty=tty, tls=tls, **wanted) as command:
        try:
            async with asyncio.TaskGroup() as group:
                feeders: list[asyncio.Task[None]] = []
                if stdin is not None:
                    feeders.append(group.create_task(_feed(stdin, command.stdin)))
                if sizes is not None:
                    feeders.append(group.create_task(_resize(sizes, command)))
                outputs = [
                    group.create_task(_drain(command.stdout, stdout)),
                    group.create_task(_drain(command.stderr, stderr)),
                ]
                await asyncio.wait(outputs)
                exit_code = await command.wait()
                for feeder in feeders:
                    feeder.cancel()
        except ExceptionGroup as errors:
            first = errors.exceptions[0]
            if isinstance(first, (Disconnected, ConnectionResetError)):
                raise Unavailable("the connection ended before the command did") from first
            raise first from errors
        return exit_code


async def _feed(source: AsyncIterable[bytes], stdin: OutboundStream) -> None:
    try:
        async for chunk in source:
            await stdin.write(chunk)
        await stdin.close()
    except ConnectionError:
        return  # the command ended, or the connection did: those who read will know which


async def _resize(sizes: AsyncIterable[TerminalSize], command: RemoteCommand) -> None:
    try:
        async for size in sizes:
            await command.resize(size)
    except ConnectionError:
        return  # as above


async def _drain(stream: InboundStream, write: Write | None) -> None:
    async for chunk in stream:
        if write is not None:
            await write(chunk)
