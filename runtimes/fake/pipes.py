"""Byte streams in memory: what the fake's processes read and write, and what connects them to each other.

No file descriptor and no socket is opened here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol


class Sink(Protocol):
    """Somewhere that output goes. ``write`` may wait for a slow reader."""

    async def write(self, data: bytes) -> None: ...


class Discard:
    """``/dev/null``."""

    async def write(self, data: bytes) -> None:
        """Forget ``data``."""


class Buffer:
    """Keeps what is written."""

    def __init__(self) -> None:
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        self._data += data

    def getvalue(self) -> bytes:
        return bytes(self._data)


class Terminal:
    """A sink seen through a terminal: a newline leaves as carriage return and newline."""

    def __init__(self, behind: Sink) -> None:
        self._behind = behind

    async def write(self, data: bytes) -> None:
        await self._behind.write(data.replace(b"\n", b"\r\n"))


class Pipe:
    """A pipe: bytes written come out in order, then the end. Holds at most ``capacity`` bytes unread."""

    def __init__(self, capacity: int = 64 * 1024) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._capacity = capacity
        self._closed = False
        self._changed: set[asyncio.Future[None]] = set()

    @property
    def closed(self) -> bool:
        return self._closed

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError once the pipe is closed."""
        while self._size >= self._capacity and not self._closed:
            await self._change()
        if self._closed:
            raise BrokenPipeError("the other end is closed")
        if data:
            self._chunks.append(data)
            self._size += len(data)
            self._wake()

    def close(self) -> None:
        """No more is written; what is there can still be read."""
        self._closed = True
        self._wake()

    async def read(self, limit: int = 64 * 1024) -> bytes:
        """Some bytes, at most ``limit``; empty at the end."""
        while not self._chunks:
            if self._closed:
                return b""
            await self._change()
        chunk = self._chunks.popleft()
        if len(chunk) > limit:
            self._chunks.appendleft(chunk[limit:])
            chunk = chunk[:limit]
        self._size -= len(chunk)
        self._wake()
        return chunk

    async def read_line(self) -> bytes:
        """The next line with its newline; without one at the end; empty when there is no more."""
        line = bytearray()
        while chunk := await self.read():
            head, newline, rest = chunk.partition(b"\n")
            line += head + newline
            if newline:
                if rest:
                    self._chunks.appendleft(rest)
                    self._size += len(rest)
                break
        return bytes(line)

    async def read_all(self) -> bytes:
        data = bytearray()
        while chunk := await self.read():
            data += chunk
        return bytes(data)

    async def _change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.add(waiter)
        try:
            await waiter
        finally:
            self._changed.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._changed:
            if not waiter.done():
                waiter.set_result(None)


def closed_pipe() -> Pipe:
    """An input with nothing in it: what a process gets that was not given a stdin."""
    pipe = Pipe()
    pipe.close()
    return pipe


Meter = Callable[[int], None]
"""Told how many bytes went over a connection."""


def _unmetered(size: int) -> None:
    """Nobody counts."""


class Connection:
    """One end of a connection between a client and a simulated server."""

    def __init__(self, incoming: Pipe, outgoing: Pipe, sent: Meter) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self._sent = sent

    async def read(self, limit: int = 64 * 1024) -> bytes:
        return await self.incoming.read(limit)

    async def write(self, data: bytes) -> None:
        await self.outgoing.write(data)
        self._sent(len(data))

    def close(self) -> None:
        """Nothing more is said from this end, and nothing more is heard."""
        self.outgoing.close()
        self.incoming.close()


def connection(asked: Meter = _unmetered, answered: Meter = _unmetered) -> tuple[Connection, Connection]:
    """The client's end and the server's, which hear each other; ``asked`` counts what the client sends."""
    here, there = Pipe(), Pipe()
    return Connection(here, there, asked), Connection(there, here, answered)
