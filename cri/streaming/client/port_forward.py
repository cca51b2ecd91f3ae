"""The client of port-forward: local listeners whose connections come out in the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from cri.errors import Internal, InvalidArgument, Unavailable
from cri.streaming.client.handshake import HANDSHAKE_TIMEOUT, Target, connect, upgrade_to_spdy
from cri.streaming.spdy import ProtocolError, Role, SpdyError
from cri.streaming.spdy_session import SpdySession, SpdyStream
from cri.streaming.status import MAX_STATUS
from cri.streaming.subprotocols import PORT, REQUEST_ID, SPDY_PORT_FORWARD, STREAM_TYPE
from cri.streaming.transport import IdleWatch, cancel

log = logging.getLogger(__name__)

OnError = Callable[[int, str], None]
"""Told the sandbox's port and the server's words when one connection could not be forwarded."""


class PortForwarder:
    """Made by ``forward_ports``. All connections share one SPDY session."""

    def __init__(self, session: SpdySession, reading: asyncio.Task[None], on_error: OnError) -> None:
        self._session = session
        self._reading = reading
        self._on_error = on_error
        self._request_ids = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self.local_ports: list[int] = []
        """Where it listens, in the order of the ports that were asked for."""

    async def wait_closed(self) -> None:
        """Until the server ends the session, which raises Unavailable: there is no other end."""
        with contextlib.suppress(ProtocolError):
            await asyncio.shield(self._reading)
        raise Unavailable("the server ended the port-forward session")

    async def listen(self, host: str, local: int, remote: int) -> asyncio.Server:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            try:
                await self._serve(remote, reader, writer)
            except asyncio.CancelledError:
                log.debug("a forwarded connection was cut, because the forwarder closes")
            finally:
                writer.close()

        server = await asyncio.start_server(accepted, host, local)
        self.local_ports.append(server.sockets[0].getsockname()[1])
        return server

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers = {PORT: str(port), REQUEST_ID: str(next(self._request_ids))}
        failure = ""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                error = await self._session.open({**headers, STREAM_TYPE: "error"})
                await error.outbound.close()
                data = await self._session.open({**headers, STREAM_TYPE: "data"})
        except (ConnectionError, TimeoutError, SpdyError) as refused:
            self._on_error(port, f"the server did not take the connection: {refused}")
            return
        try:
            await data.duplex.splice(reader, writer)
        except (OSError, ExceptionGroup) as broken:
            failure = str(broken)
        # What the server says explains more than that a stream broke.
        with contextlib.suppress(ConnectionError):
            await self._session.reset(data)
            failure = await self._reason(error) or failure
        if failure:
            self._on_error(port, failure)

    async def _reason(self, error: SpdyStream) -> str:
        return (await error.inbound.read_all(MAX_STATUS)).decode("utf-8", "replace")

    async def aclose(self) -> None:
        await cancel(*self._tasks)


def _log_error(port: int, message: str) -> None:
    log.warning("forwarding to port %d: %s", port, message)


@asynccontextmanager
async def forward_ports(
    url: str,
    ports: Sequence[tuple[int, int]],
    *,
    host: str = "127.0.0.1",
    on_error: OnError = _log_error,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[PortForwarder]:
    """Listen on ``host`` for each (local, sandbox) pair of ``ports`` while the block runs; local 0 takes a free port.

    Raises InvalidArgument for a port that is none or cannot be had, and the handshake's errors.
    """
    if not ports:
        raise InvalidArgument("ports is empty: name at least one pair of a local port and a port of the sandbox")
    for local, remote in ports:
        if not (0 <= local <= 65535 and 0 < remote <= 65535):
            raise InvalidArgument(f"ports {local}:{remote} are not 0..65535 and 1..65535")
    target = Target.parse(url, tls)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(connect(target))
        if (protocol := await upgrade_to_spdy(connection, target, [SPDY_PORT_FORWARD])) != SPDY_PORT_FORWARD:
            raise Internal(f"the server chose the protocol {protocol!r}, which was not offered")
        session = SpdySession(connection, Role.CLIENT, IdleWatch(float("inf")))
        reading = asyncio.create_task(session.read())
        stack.push_async_callback(cancel, reading)
        forwarder = PortForwarder(session, reading, on_error)
        stack.push_async_callback(forwarder.aclose)
        for local, remote in ports:
            try:
                server = await forwarder.listen(host, local, remote)
            except OSError as error:
                raise InvalidArgument(f"cannot listen on {host}:{local}: {error}") from error
            stack.callback(server.close)
        yield forwarder
