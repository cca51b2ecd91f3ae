"""The byte transport underneath a session, and what is true of every session: it can idle, and its peer can go away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from cri.streaming.pipes import READ_SIZE, Sink

KEEPALIVE = 15.0
"""Seconds between the pings that are sent while we do not read, because only a write can then find a dead peer."""

LINGER = 10.0
"""Seconds that a peer has, after our last byte, to close the connection before we do."""

_CLOSE_TIMEOUT = 2.0

_T = TypeVar("_T")


class Disconnected(ConnectionError):
    """The peer left before its session was over."""


class IdleTimeout(Exception):
    """Nothing was said on a session for too long."""


class Transport(Protocol):
    """Bytes both ways. A WebSocket that carries SPDY is one, too."""

    async def receive(self) -> bytes:
        """Empty when the peer sends no more, for whatever reason."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None:
        """Wait while the peer is slow; raises ConnectionError when it is gone."""

    async def flush(self) -> None:
        """Wait until everything written has left this process."""


class SocketTransport:
    """A TCP or TLS connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unread = b""
        sock = writer.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # A peer whose host vanished is found by the kernel, though nobody writes.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def unread(self, data: bytes) -> None:
        """Put back what came along with the handshake; it is received next."""
        self._unread = data

    async def receive(self) -> bytes:
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            return await self._reader.read(READ_SIZE)
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def flush(self) -> None:
        self._writer.transport.set_write_buffer_limits(0)
        await self._writer.drain()

    async def close(self) -> None:
        """Free the socket, whatever state it is in. A peer that does not take our last bytes loses them."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise


class IdleWatch:
    """Knows when something was last said. ``limit`` in seconds."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()

    def touch(self) -> None:
        self._last = self._clock()

    async def expire(self) -> None:
        """Returns never; raises IdleTimeout once ``limit`` seconds passed since the last touch."""
        while (left := self._last + self.limit - self._clock()) > 0:  # noqa: ASYNC110 - it waits for time itself
            await asyncio.sleep(left)
        raise IdleTimeout(f"the session was idle for {self.limit:g} s and was closed")


async def wait_for_space(sink: Sink, ping: Callable[[], Awaitable[None]]) -> None:
    """Until ``sink`` can take more. Meanwhile nothing is read, so pings find out whether the peer still lives."""
    while not sink.has_space():
        try:
            async with asyncio.timeout(KEEPALIVE):
                await sink.wait_for_space()
        except TimeoutError:
            await ping()


async def while_connected(work: Coroutine[Any, Any, _T], *guards: asyncio.Task[None]) -> _T:
    """The result of ``work``, which is cancelled when a guard ends first.

    A guard that failed raises its own error here; one that just ended means Disconnected.
    """
    working = asyncio.create_task(work)
    try:
        await asyncio.wait({working, *guards}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        for guard in guards:
            if guard.done():
                guard.result()
        raise Disconnected("the client closed the connection")
    finally:
        await cancel(working)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel and wait until they are really over. Their results and errors are of no interest any more."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
