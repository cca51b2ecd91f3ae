"""From a URL to an upgraded connection. What the server refuses becomes the CRIError that fits its HTTP status."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, RejectData
from wsproto.events import Request as WebSocketRequest
from wsproto.utilities import RemoteProtocolError

from cri.errors import (
    CRIError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from cri.streaming.handshake import PROTOCOL_VERSION, SPDY
from cri.streaming.transport import SocketTransport
from cri.streaming.websocket import WebSocket

HANDSHAKE_TIMEOUT = 30.0
"""Seconds that each step up to the first byte of a session may take: to connect, to upgrade, to open the streams."""

_MAX_REASON = 4096

_ERRORS: dict[int, type[CRIError]] = {
    HTTPStatus.BAD_REQUEST: InvalidArgument,
    HTTPStatus.FORBIDDEN: FailedPrecondition,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.TOO_MANY_REQUESTS: ResourceExhausted,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    host: str
    port: int
    authority: str
    path: str
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str, tls: ssl.SSLContext | None) -> Target:
        """``tls`` is for https; without one the system's authorities are trusted. Raises InvalidArgument."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in ("http", "https") or not (url.isascii() and url.isprintable()) or " " in url:
            raise InvalidArgument(f"streaming URL {url!r} is not of the form http://host:port/path or https://…")
        secure = parts.scheme == "https"
        context = (tls or ssl.create_default_context()) if secure else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(host, port or (443 if secure else 80), parts.netloc.rpartition("@")[2], path, context)


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[SocketTransport]:
    """Raises Unavailable when nobody answers there."""
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"cannot connect to the streaming server at {target.authority}: {error}") from error
    transport = SocketTransport(reader, writer)
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            yield
    except TimeoutError as error:
        raise Unavailable(f"the streaming server did not answer within {HANDSHAKE_TIMEOUT:g} s") from error


@_in_time()
async def upgrade_to_websocket(
    transport: SocketTransport, target: Target, subprotocols: Sequence[str]
) -> tuple[WebSocket, str]:
    """The WebSocket and the subprotocol that the server chose."""
    connection = WSConnection(ConnectionType.CLIENT)
    request = WebSocketRequest(host=target.authority, target=target.path, subprotocols=list(subprotocols))
    transport.write(connection.send(request))
    refused: int | None = None
    reason = bytearray()
    while True:
        try:
            connection.receive_data(await _receive(transport))
        except (RemoteProtocolError, UnicodeError) as error:
            raise Internal(f"{target.authority} does not answer as a WebSocket server: {error}") from error
        for event in connection.events():
            match event:
                case AcceptConnection(subprotocol=subprotocol):
                    return WebSocket(connection, transport), subprotocol or ""
                case RejectConnection(status_code=status, has_body=has_body):
                    refused = status
                    if not has_body:
                        raise _refusal(status, b"")
                case RejectData(data=data, body_finished=finished):
                    reason += data
                    if refused is not None and (finished or len(reason) > _MAX_REASON):
                        raise _refusal(refused, reason)


@_in_time()
async def upgrade_to_spdy(transport: SocketTransport, target: Target, protocols: Sequence[str]) -> str:
    """The protocol that the server chose; ``transport`` speaks SPDY from here on."""
    http = h11.Connection(h11.CLIENT)
    headers = [("Host", target.authority), ("Connection", "Upgrade"), ("Upgrade", SPDY), ("Content-Length", "0")]
    headers += [(PROTOCOL_VERSION, protocol) for protocol in protocols]
    for part in (h11.Request(method="POST", target=target.path, headers=headers), h11.EndOfMessage()):
        transport.write(http.send(part) or b"")
    refused: int | None = None
    reason = bytearray()
    while True:
        try:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await _receive(transport))
        except h11.RemoteProtocolError as error:
            raise Internal(f"{target.authority} does not answer as a SPDY server: {error}") from error
        match event:
            case h11.InformationalResponse(status_code=101, headers=answered):
                transport.unread(bytes(http.trailing_data[0]))
                chosen = [value for name, value in answered if name == PROTOCOL_VERSION.lower().encode("ascii")]
                return chosen[0].decode("latin-1") if chosen else ""
            case h11.Response(status_code=status):
                refused = status
            case h11.Data(data=data):
                reason += data
        if refused is not None and (isinstance(event, h11.EndOfMessage) or len(reason) > _MAX_REASON):
            raise _refusal(refused, reason)


async def _receive(transport: SocketTransport) -> bytes:
    if not (data := await transport.receive()):
        raise Unavailable("the streaming server closed the connection in the middle of the handshake")
    return data


def _refusal(status: int, reason: bytes | bytearray) -> CRIError:
    text = bytes(reason[:_MAX_REASON]).decode("utf-8", "replace").strip() or "no reason given"
    return _ERRORS.get(status, Internal)(f"the streaming server refused the connection ({status}): {text}")
