"""Clients as others have written them: each test says every stream and byte, and reads what comes until it has it."""

from __future__ import annotations

import asyncio
import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request, TextMessage

from cri.streaming.spdy import Connection, Role, events

Headers = Sequence[tuple[str, str]]
KINDS = ("stdin", "stdout", "stderr", "error", "resize")
SPDY_UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"))


@asynccontextmanager
async def dialled(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def requested(
    url: str, headers: Headers = (), method: str = "POST"
) -> AsyncIterator[tuple[h11.Response | h11.InformationalResponse, bytes, asyncio.StreamReader, asyncio.StreamWriter]]:
    """The answer to a request: its head, what came after the head, and the connection."""
    http = h11.Connection(h11.CLIENT)
    async with dialled(url) as (reader, writer):
        request = h11.Request(method=method, target=urlsplit(url).path, headers=[("Host", "h"), *headers])
        writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        assert isinstance(event, (h11.Response, h11.InformationalResponse))
        yield event, http.trailing_data[0], reader, writer


async def answer(url: str, headers: Headers = SPDY_UPGRADE, method: str = "POST") -> int:
    """The status of a request."""
    async with requested(url, headers, method) as (head, _, _, _):
        return head.status_code


class Peer(ABC):
    """A client of exec or attach, whatever it speaks. ``received`` is by kind of stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.received: dict[str, bytes] = {}
        self.ended: set[str] = set()
        self.over = False

    async def until(self, condition: Callable[[], object]) -> None:
        """Read until ``condition`` holds; EOFError when the server has nothing more to say."""
        while not condition():
            if not (data := await self._reader.read(65536)):
                raise EOFError(f"the server closed the connection; received: {self.received}")
            self._take(data)

    async def to_the_end(self) -> None:
        await self.until(lambda: self.over)

    async def until_received(self, kind: str, data: bytes) -> None:
        await self.until(lambda: self.received.get(kind, b"").endswith(data))

    @abstractmethod
    def _take(self, data: bytes) -> None: ...

    @abstractmethod
    async def send(self, kind: str, data: bytes) -> None: ...

    @abstractmethod
    async def end(self, kind: str) -> None:
        """Half-close a stream."""


class SpdyPeer(Peer):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
        super().__init__(reader, writer)
        self.connection = Connection(Role.CLIENT)
        self.ids: dict[str, int] = {}
        self.accepted: set[str] = set()
        self.reset: set[str] = set()
        self._take(first)

    async def push(self) -> None:
        self.writer.write(self.connection.data_to_send())
        await self.writer.drain()

    async def open(self, name: str, headers: Mapping[str, str] | None = None) -> None:
        """A stream that tests call ``name``, as its type if nothing else is said; returns once it is accepted."""
        self.ids[name] = self.connection.open_stream(headers or {"streamtype": name})
        await self.push()
        await self.until(lambda: name in self.accepted)

    async def send(self, kind: str, data: bytes) -> None:
        self.connection.send_data(self.ids[kind], data)
        await self.push()

    async def end(self, kind: str) -> None:
        self.connection.send_data(self.ids[kind], b"", fin=True)
        await self.push()

    async def abort(self, kind: str) -> None:
        self.connection.reset(self.ids[kind])
        await self.push()

    def _take(self, data: bytes) -> None:
        for event in self.connection.receive(data):
            name = next((name for name, each in self.ids.items() if each == getattr(event, "stream_id", None)), "")
            match event:
                case events.DataReceived(data=received):
                    self.received[name] = self.received.get(name, b"") + received
                case events.StreamEnded():
                    self.ended.add(name)
                case events.StreamAccepted():
                    self.accepted.add(name)
                case events.StreamReset():
                    self.reset.add(name)
                case events.GoneAway():
                    self.over = True


@asynccontextmanager
async def spdy_peer(url: str, protocol: str) -> AsyncIterator[SpdyPeer]:
    """Upgraded, without any stream yet."""
    headers = [*SPDY_UPGRADE, ("X-Stream-Protocol-Version", protocol)]
    async with requested(url, headers) as (head, first, reader, writer):
        assert head.status_code == 101
        assert (b"x-stream-protocol-version", protocol.encode()) in head.headers
        yield SpdyPeer(reader, writer, first)


class WebSocketPeer(Peer):
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: WSConnection, subprotocol: str
    ) -> None:
        super().__init__(reader, writer)
        self.connection = connection
        self.base64 = "base64" in subprotocol
        self.code = 0
        """Why the server closed the WebSocket, in RFC 6455's numbers."""
        self.messages: list[tuple[int, bytes]] = []
        self._message = b""
        self._take(b"")

    async def send(self, kind: str, data: bytes) -> None:
        await self.send_to(KINDS.index(kind), data)

    async def send_to(self, channel: int, data: bytes) -> None:
        text = f"{channel}{base64.b64encode(data).decode()}"
        message = TextMessage(text) if self.base64 else BytesMessage(bytes((channel,)) + data)
        self.writer.write(self.connection.send(message))
        await self.writer.drain()

    async def end(self, kind: str) -> None:
        await self.send_message(bytes((255, KINDS.index(kind))))

    async def send_message(self, message: bytes) -> None:
        self.writer.write(self.connection.send(BytesMessage(message)))
        await self.writer.drain()

    def _take(self, data: bytes) -> None:
        if data:
            self.connection.receive_data(data)
        for event in self.connection.events():
            match event:
                case BytesMessage(data=piece, message_finished=whole):
                    self._piece(bytes(piece), whole)
                case TextMessage(data=text, message_finished=whole):
                    self._piece(text.encode(), whole)
                case Ping():
                    self.writer.write(self.connection.send(event.response()))
                case CloseConnection(code=code):
                    self.code, self.over = code, True
                    self.writer.write(self.connection.send(event.response()))

    def _piece(self, piece: bytes, whole: bool) -> None:
        self._message += piece
        if whole:
            message, self._message = self._message, b""
            channel = message[0] - (ord("0") if self.base64 else 0)
            data = base64.b64decode(message[1:]) if self.base64 else message[1:]
            self.messages.append((channel, data))
            kind = KINDS[channel] if channel < len(KINDS) else str(channel)
            self.received[kind] = self.received.get(kind, b"") + data


@asynccontextmanager
async def websocket_peer(url: str, subprotocol: str) -> AsyncIterator[WebSocketPeer]:
    connection = WSConnection(ConnectionType.CLIENT)
    offered = [subprotocol] if subprotocol else []
    async with dialled(url) as (reader, writer):
        writer.write(connection.send(Request(host="h", target=urlsplit(url).path, subprotocols=offered)))
        while not (said := next(connection.events(), None)):
            connection.receive_data(await reader.read(65536))
        assert isinstance(said, AcceptConnection), said
        assert (said.subprotocol or "") == subprotocol
        yield WebSocketPeer(reader, writer, connection, subprotocol)


SPDY = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
WEBSOCKET = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
)
EVERY = [*(f"spdy {name}" for name in SPDY), *(f"websocket {name}" for name in WEBSOCKET)]
STRUCTURED = [each for each in EVERY if " v4." in each or " v5." in each]
"""Those that tell the outcome as a Kubernetes Status."""


@asynccontextmanager
async def command_peer(url: str, speaking: str, *streams: str) -> AsyncIterator[Peer]:
    """One of ``EVERY``, with ``streams`` open; the order is the Go client's: the error stream first."""
    transport, _, protocol = speaking.partition(" ")
    if transport == "websocket":
        async with websocket_peer(url, protocol) as websocket:
            yield websocket
    else:
        async with spdy_peer(url, protocol) as spdy:
            for name in ("error", *streams):
                await spdy.open(name)
            yield spdy
