"""Port-forward sessions on the server: many connections inside one, each handed to the handler as a DuplexStream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from wsproto.frame_protocol import CloseReason

from cri.errors import CRIError
from cri.streaming.channels import ChannelCodec, ChannelData, ChannelError
from cri.streaming.pipes import DuplexStream, InboundStream, OutboundStream
from cri.streaming.spdy import Role
from cri.streaming.spdy_session import SpdySession, SpdyStream
from cri.streaming.subprotocols import PORT, REQUEST_ID, STREAM_TYPE, WebSocketProtocol
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

log = logging.getLogger(__name__)

ForwardPort = Callable[[int, DuplexStream], Coroutine[Any, Any, None]]
"""Serves one connection to a port of the sandbox."""

_MAX_PORT = 65535


def _failure(port: int, error: Exception) -> str:
    if isinstance(error, CRIError):
        return f"error forwarding port {port}: {error.message}"
    if isinstance(error, OSError):
        return f"error forwarding port {port}: {error}"
    log.error("a port-forward handler failed", exc_info=error)
    return f"error forwarding port {port}: internal error: {type(error).__name__}; the server's log has the details"


class _Pair:
    """The streams of one forwarded connection, until both have come."""

    def __init__(self, port: int, overdue: asyncio.TimerHandle) -> None:
        self.port = port
        self.overdue = overdue
        self.streams: dict[str, SpdyStream] = {}


class SpdyPortForward:
    """The client opens a data and an error stream, tied by a request id, for each connection that it forwards."""

    def __init__(self, transport: Transport, forward: ForwardPort, idle: IdleWatch, *, creation_timeout: float) -> None:
        self._session = SpdySession(transport, Role.SERVER, idle, self._accept)
        self._forward = forward
        self._idle = idle
        self._creation_timeout = creation_timeout
        self._incomplete: dict[str, _Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until the client leaves or was idle for too long; then every handler is cancelled."""
        reading = asyncio.create_task(self._session.read())
        try:
            await while_connected(self._idle.expire(), reading)
        except Disconnected:
            log.debug("the port-forward client has left")
        except IdleTimeout as error:
            log.info("port-forward: %s", error)
            self._session.go_away()
        finally:
            for pair in self._incomplete.values():
                pair.overdue.cancel()
            await cancel(reading, *self._tasks)

    def _accept(self, stream: SpdyStream) -> bool:
        kind, port = stream.headers.get(STREAM_TYPE, ""), _port(stream.headers.get(PORT, ""))
        if kind not in ("data", "error") or port is None:
            return False
        # Clients from before there were request ids open the error stream and, right after it, the data stream.
        request_id = stream.headers.get(REQUEST_ID) or str(stream.id - 2 if kind == "data" else stream.id)
        if (pair := self._incomplete.get(request_id)) is None:
            overdue = asyncio.get_running_loop().call_later(self._creation_timeout, self._expire, request_id)
            pair = self._incomplete[request_id] = _Pair(port, overdue)
        if kind in pair.streams or port != pair.port:
            return False
        pair.streams[kind] = stream
        stream.on_reset = lambda: self._forget(request_id)
        if len(pair.streams) == 2:
            self._forget(request_id)
            task = self._start(self._serve_pair(port, pair.streams["data"], pair.streams["error"]))
            pair.streams["data"].on_reset = task.cancel
            pair.streams["error"].on_reset = None
        return True

    def _forget(self, request_id: str) -> None:
        if (pair := self._incomplete.pop(request_id, None)) is not None:
            pair.overdue.cancel()

    def _expire(self, request_id: str) -> None:
        pair = self._incomplete.pop(request_id)
        self._start(self._refuse(pair))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _refuse(self, pair: _Pair) -> None:
        failure = f"only one of the streams data and error came within {self._creation_timeout:g} s"
        with contextlib.suppress(ConnectionError):
            for kind, stream in pair.streams.items():
                if kind == "error":
                    await self._tell(stream, failure)
                else:
                    await self._session.reset(stream)

    async def _serve_pair(self, port: int, data: SpdyStream, error: SpdyStream) -> None:
        failure = ""
        error.inbound.abandon()
        try:
            await self._forward(port, data.duplex)
        except asyncio.CancelledError:
            # The client gave up this one connection, or the whole session is at its end.
            if not data.was_reset:
                raise
        except Exception as problem:  # noqa: BLE001 - told to the client, and logged where it is a bug
            failure = "" if data.was_reset else _failure(port, problem)
        data.inbound.abandon()
        with contextlib.suppress(ConnectionError):
            if failure:
                await self._tell(error, failure)
                await self._session.reset(data)
            else:
                await data.outbound.close()
                await error.outbound.close()

    async def _tell(self, error: SpdyStream, failure: str) -> None:
        try:
            await error.outbound.write(failure.encode())
        except BrokenPipeError:
            log.debug("the client does not want to know of a failure: %s", failure)
        await error.outbound.close()


def _port(text: str) -> int | None:
    """What the header ``port`` says, if it is a port."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PORT))):
        return None
    return int(text) if 0 < int(text) <= _MAX_PORT else None


class WebSocketPortForward:
    """One connection to each port that the request names: channel 2n carries its data, 2n + 1 its error."""

    def __init__(
        self,
        socket: WebSocket,
        protocol: WebSocketProtocol,
        ports: Sequence[int],
        forward: ForwardPort,
        idle: IdleWatch,
    ) -> None:
        self._socket = socket
        self._codec = ChannelCodec(protocol)
        self._ports = ports
        self._forward = forward
        self._idle = idle
        self._inbound = {2 * index: InboundStream() for index in range(len(ports))}

    async def serve(self) -> None:
        """Until all connections are over, the client leaves or was idle for too long."""
        reading, idling = asyncio.create_task(self._read()), asyncio.create_task(self._idle.expire())
        try:
            await while_connected(self._serve_all(), reading, idling)
            self._socket.close()
            await asyncio.wait({reading}, timeout=LINGER)
        except Disconnected:
            log.debug("the port-forward client has left")
        except IdleTimeout as error:
            self._socket.close(reason=str(error))
        finally:
            await cancel(reading, idling)

    async def _read(self) -> None:
        try:
            while (piece := await self._socket.receive()) is not None:
                for said in self._codec.decode(piece):
                    self._idle.touch()
                    if isinstance(said, ChannelData) and (inbound := self._inbound.get(said.channel)) is not None:
                        inbound.feed(said.data)
                        await wait_for_space(inbound, self._socket.ping)
        except ChannelError as error:
            self._socket.close(CloseReason.INVALID_FRAME_PAYLOAD_DATA, str(error))
        except ConnectionError:
            return  # found while writing: the peer has left

    async def _serve_all(self) -> None:
        async with asyncio.TaskGroup() as connections:
            for index, port in enumerate(self._ports):
                connections.create_task(self._serve_one(2 * index, port))

    async def _serve_one(self, channel: int, port: int) -> None:
        try:
            # Each channel first says which port it is for.
            for number in (channel, channel + 1):
                await self._send(number, struct.pack("<H", port))
            inbound = self._inbound[channel]
            outbound = OutboundStream(lambda data: self._send(channel, data), _no_half_close)
            try:
                await self._forward(port, DuplexStream(inbound, outbound))
            except Exception as problem:  # noqa: BLE001 - told to the client, and logged where it is a bug
                await self._send(channel + 1, _failure(port, problem).encode())
            finally:
                inbound.abandon()
        except ConnectionError:
            return  # the client has left; whoever reads notices

    async def _send(self, channel: int, data: bytes) -> None:
        self._idle.touch()
        await self._socket.send(self._codec.encode(channel, data))


async def _no_half_close() -> None:
    """This protocol cannot say that one direction of a connection has ended."""
