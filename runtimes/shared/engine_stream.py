"""Answers of the engine that last: events, logs, attach, exec, pull. One connection each, asyncio only, no thread.

The SDK reads such answers in a thread of its own and reaches through private attributes of three libraries for the
socket, bytes that were already buffered being lost on the way. h11 gives the same bytes without either, and closing
the connection is what makes the engine stop the work.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import h11

from cri.errors import Internal, Unavailable
from runtimes.shared.engine_peer import EnginePeer

CHUNK = 64 * 1024
"""Bytes read at once."""

ERROR_LIMIT = 64 * 1024
"""Bytes read of an answer that says why a call failed."""

_HTTP_OK = 200
_HTTP_BAD = 300


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The call whose answer lasts."""

    method: str
    path: str
    params: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str]
    upgrade: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class EngineStream:
    """The answer to a call of ``Engine.stream``, between its status line and its end."""

    def __init__(
        self, peer: EnginePeer, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._peer = peer
        self._http = http
        self._reader = reader
        self._writer = writer
        self._early = b""
        self.headers: dict[str, str] = {}

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Ends where the engine ends it; raises Unavailable when it is cut off."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return

    async def read(self, size: int = CHUNK) -> bytes:
        """After an upgrade: at least one byte and at most ``size``; empty once the engine has hung up."""
        if self._early:
            taken, self._early = self._early[:size], self._early[size:]
            return taken
        try:
            return await self._reader.read(size)
        except (ConnectionResetError, BrokenPipeError):
            return b""  # it hung up over input of ours that nobody read
        except OSError as error:
            raise self._peer.unreachable(error) from error

    async def write(self, data: bytes) -> None:
        """After an upgrade: send to the process's stdin, waiting while the engine is slow to take it."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise self._peer.unreachable(error) from error

    def write_eof(self) -> None:
        """After an upgrade: no more stdin. TLS cannot say so without closing the answer too; there it is a no-op."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    async def _start(self, request: StreamRequest) -> None:
        """Read up to the status line and the headers. Raises the engine's error."""
        event = await self._next_event()
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = await self._next_event()
        if not isinstance(event, h11.Response | h11.InformationalResponse):
            raise Unavailable(
                f"{self._peer.product} at {self._peer.address} closed the connection instead of answering {request}"
            )
        self.headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        if event.status_code == 101:
            self._early = self._http.trailing_data[0]
        elif not _HTTP_OK <= event.status_code < _HTTP_BAD:
            raise self._peer.for_status(event.status_code, await self._error_message(), str(request))
        elif request.upgrade:
            raise Internal(f"the engine answered {event.status_code} to {request}, which asked for an upgrade")

    async def _error_message(self) -> str:
        body = b""
        async for chunk in self.chunks():
            body += chunk
            if len(body) > ERROR_LIMIT:
                break
        try:
            return str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            return body.decode("utf-8", "replace")

    async def _next_event(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(CHUNK))
        except h11.RemoteProtocolError as error:
            raise Unavailable(f"the answer of {self._peer} was cut off: {error}") from error
        except OSError as error:
            raise self._peer.unreachable(error) from error
        return event


@asynccontextmanager
async def open_stream(peer: EnginePeer, request: StreamRequest, patience: float) -> AsyncIterator[EngineStream]:
    """See ``Engine.stream``."""
    writer: asyncio.StreamWriter | None = None
    try:
        try:
            async with asyncio.timeout(patience):
                reader, writer = await peer.connect()
                http = h11.Connection(h11.CLIENT)
                writer.write(_head_and_body(http, request))
                await writer.drain()
                stream = EngineStream(peer, http, reader, writer)
                await stream._start(request)
        except TimeoutError as error:
            raise peer.timed_out(patience) from error
        except OSError as error:
            raise peer.unreachable(error) from error
        yield stream
    finally:
        if writer is not None:
            # Not waited for: nothing is left to send, and the engine may be the one that hangs.
            writer.transport.abort()


def _head_and_body(http: h11.Connection, request: StreamRequest) -> bytes:
    fields = {"Host": "engine", "User-Agent": "minicri", "Content-Length": str(len(request.body)), **request.headers}
    if request.body:
        fields.setdefault("Content-Type", "application/json")
    fields |= {"Connection": "Upgrade", "Upgrade": "tcp"} if request.upgrade else {"Connection": "close"}
    target = f"{request.path}?{urlencode(request.params)}" if request.params else request.path
    sent = http.send(h11.Request(method=request.method, target=target, headers=list(fields.items()))) or b""
    if request.body:
        sent += http.send(h11.Data(data=request.body)) or b""
    return sent + (http.send(h11.EndOfMessage()) or b"")


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream of JSON lines (events, pull progress) into lines, without their ends."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line.strip()
    if rest.strip():
        yield rest.strip()
