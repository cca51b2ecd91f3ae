"""What a handler reads from and writes to, whatever protocol is underneath. Bounded, with backpressure both ways."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeGuard

INBOUND_LIMIT = 128 * 1024
"""Bytes that wait in one stream for its reader before the connection that brings them is no longer read."""

MAX_WRITE = 32 * 1024
"""Bytes in one outgoing frame or message: small enough that many streams of one connection take turns."""

READ_SIZE = 64 * 1024

_MAX_SIZES = 16
_MAX_SIZE_TEXT = 1024
_MAX_DIMENSION = 65535
_JSON = json.JSONDecoder()


class Sink(Protocol):
    """Where a connection puts the bytes of one stream."""

    def feed(self, data: bytes) -> None:
        """Never blocks; the connection looks at ``has_space`` before it brings more."""

    def feed_eof(self) -> None: ...

    def fail(self, error: ConnectionError) -> None:
        """The connection broke before the stream's end."""

    def has_space(self) -> bool: ...

    async def wait_for_space(self) -> None: ...


class InboundStream:
    """Bytes from the peer: a Sink for the connection, a reader for the handler. One reader at a time."""

    def __init__(self, limit: int = INBOUND_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._ended = False
        self._error: ConnectionError | None = None
        self._changed = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()

    async def read(self, size: int = READ_SIZE) -> bytes:
        """At least one byte and at most ``size``; empty once the peer has ended the stream.

        Raises ConnectionError when the connection broke before the stream's end.
        """
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        chunk = bytes(self._buffer[:size])
        del self._buffer[: len(chunk)]
        if len(self._buffer) < self._limit:
            self._space.set()
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk

    async def read_all(self, limit: int) -> bytes:
        """Everything up to the end; what comes after ``limit`` bytes is thrown away."""
        kept = bytearray()
        async for chunk in self:
            kept += chunk[: limit - len(kept)]
        return bytes(kept)

    def feed(self, data: bytes) -> None:
        if self._ended:
            return
        self._buffer += data
        if len(self._buffer) >= self._limit:
            self._space.clear()
        self._changed.set()

    def feed_eof(self) -> None:
        self._ended = True
        self._changed.set()

    def fail(self, error: ConnectionError) -> None:
        if not self._ended:
            self._error = error
            self._changed.set()

    def has_space(self) -> bool:
        return self._space.is_set()

    async def wait_for_space(self) -> None:
        await self._space.wait()

    def abandon(self) -> None:
        """Nobody reads any more: forget what waits and whatever comes."""
        self._buffer.clear()
        self._space.set()
        self.feed_eof()


class OutboundStream:
    """Bytes to the peer. ``write`` waits while the peer is slow."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._end = end
        self._ended = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Raises BrokenPipeError after ``close`` or when the peer wants no more of this stream."""
        if self._ended:
            raise BrokenPipeError("the stream was closed for writing")
        view = memoryview(data)
        for start in range(0, len(view), MAX_WRITE):
            await self._send(bytes(view[start : start + MAX_WRITE]))

    async def close(self) -> None:
        """No more bytes; the peer reads the end of the stream where the protocol can say so. Safe to call twice."""
        if not self._ended:
            self._ended = True
            await self._end()


class DuplexStream:
    """One forwarded connection: what a socket is to a program."""

    def __init__(self, inbound: InboundStream, outbound: OutboundStream) -> None:
        self._inbound = inbound
        self._outbound = outbound

    async def read(self, size: int = READ_SIZE) -> bytes:
        """Empty once the client sends nothing more."""
        return await self._inbound.read(size)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await self._outbound.write(data)

    async def close_write(self) -> None:
        """Tell the client that nothing more comes; reading goes on."""
        await self._outbound.close()

    async def splice(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy both ways between the client and a socket, each half closed as its source ends; then both are done.

        Closes ``writer``, also on failure and cancellation.
        """
        try:
            async with asyncio.TaskGroup() as copies:
                copies.create_task(self._to_socket(writer))
                copies.create_task(self._from_socket(reader))
        except ExceptionGroup as group:
            # Both directions fail for one cause; the first to notice names it.
            raise group.exceptions[0] from group
        finally:
            writer.close()

    async def _to_socket(self, writer: asyncio.StreamWriter) -> None:
        while chunk := await self.read():
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _from_socket(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(READ_SIZE):
            await self.write(chunk)
        await self.close_write()


class TerminalSize(NamedTuple):
    """Columns and rows."""

    width: int
    height: int


class SizeQueue:
    """Terminal sizes in the order of arrival. A slow reader misses old ones, never the newest.

    A Sink for the connection: sizes come as JSON objects, one after the other, perhaps in pieces.
    """

    def __init__(self) -> None:
        self._sizes: deque[TerminalSize] = deque(maxlen=_MAX_SIZES)
        self._text = ""
        self._ended = False
        self._changed = asyncio.Event()

    def __aiter__(self) -> SizeQueue:
        return self

    async def __anext__(self) -> TerminalSize:
        while not self._sizes:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._sizes.popleft()

    def feed(self, data: bytes) -> None:
        if self._ended:
            return
        self._text += data.decode("latin-1")
        while self._text and not self._ended:
            self._text = self._text.lstrip()
            try:
                value, end = _JSON.raw_decode(self._text)
            except RecursionError:
                self.feed_eof()
                return
            except ValueError:
                if len(self._text) > _MAX_SIZE_TEXT:
                    self.feed_eof()
                return
            self._text = self._text[end:]
            self._put(value)

    def _put(self, value: object) -> None:
        """Anything that is no size ends the sizes, as the rest cannot be trusted; the session goes on."""
        fields = {str(name).lower(): field for name, field in value.items()} if isinstance(value, dict) else {}
        width, height = fields.get("width"), fields.get("height")
        if not (_is_dimension(width) and _is_dimension(height)):
            self.feed_eof()
        elif width and height:  # a client without a terminal says 0, which means nothing to a terminal
            self._sizes.append(TerminalSize(width, height))
            self._changed.set()

    def feed_eof(self) -> None:
        self._ended = True
        self._text = ""
        self._changed.set()

    def fail(self, error: ConnectionError) -> None:
        self.feed_eof()

    def has_space(self) -> bool:
        return True

    async def wait_for_space(self) -> None:
        """There always is: old sizes make room."""


def _is_dimension(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MAX_DIMENSION


@dataclass(frozen=True, slots=True)
class StreamIO:
    """The standard streams of an exec or attach session.

    All are always there: a stream that the request did not ask for is at its end (``stdin``, ``resizes``) or throws
    away what is written (``stdout``, ``stderr``), so a handler need not look. ``stdin`` ends when the client
    half-closes it; when the client goes away altogether, the handler's task is cancelled.
    """

    stdin: InboundStream
    stdout: OutboundStream
    stderr: OutboundStream
    resizes: SizeQueue
