"""A listening TCP socket that owns all that it accepts, from the first packet of a TLS handshake to the last byte.

``asyncio.Server`` forgets a connection that it has accepted and not yet handed over: closing it then leaves a socket
that nobody serves, or a handshake that nobody can end.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from cri.streaming.transport import SocketTransport

log = logging.getLogger(__name__)

_BACKLOG = 128
_RETRY = 1.0
"""Seconds before the next try to accept, when the process or the host has no room for another socket."""

_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Serve = Callable[[SocketTransport], Coroutine[Any, Any, None]]


class Listener:
    """Calls ``serve`` in a task of its own for each connection, and closes the connection afterwards."""

    def __init__(self, listening: socket.socket, serve: Serve, tls: ssl.SSLContext | None, handshake_limit: float):
        self._listening = listening
        self._serve = serve
        self._tls = tls
        self._handshake_limit = handshake_limit if tls else None
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self.connections: set[asyncio.Task[None]] = set()
        self._resume()

    @classmethod
    async def open(
        cls, host: str, port: int, serve: Serve, *, tls: ssl.SSLContext | None, handshake_limit: float
    ) -> Listener:
        """Listen on the first address of ``host``; port 0 takes a free one. OSError when that cannot be."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        listening.setblocking(False)
        return cls(listening, serve, tls, handshake_limit)

    @property
    def port(self) -> int:
        number: int = self._listening.getsockname()[1]
        return number

    async def aclose(self) -> None:
        """Free the socket and end all connections; no task is left behind."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        if self._retry is not None:
            self._retry.cancel()
        for task in self.connections:
            task.cancel()
        if self.connections:
            await asyncio.wait(self.connections)

    def _resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                connection, _peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                log.error("the streaming server cannot accept a connection, and tries again soon: %s", error)
                self._loop.remove_reader(self._listening)
                self._retry = self._loop.call_later(_RETRY, self._resume)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._connected(connection))
            self.connections.add(task)
            task.add_done_callback(self.connections.discard)
            # Also when the task was cancelled before its first step.
            task.add_done_callback(lambda _, connection=connection: connection.close())  # type: ignore[misc]

    async def _connected(self, connection: socket.socket) -> None:
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        try:
            stream, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=self._handshake_limit
            )
        except OSError as error:
            log.debug("a TLS handshake failed: %s", error)
            return
        transport = SocketTransport(reader, asyncio.StreamWriter(stream, protocol, reader, self._loop))
        try:
            await self._serve(transport)
        except asyncio.CancelledError:
            log.debug("a streaming session was ended, because the server closes")
        finally:
            await transport.close()
