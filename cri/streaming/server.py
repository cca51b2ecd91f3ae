"""The HTTP server behind the URLs that Exec, Attach and PortForward answer with."""

from __future__ import annotations

import asyncio
import copy
import logging
import ssl
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, Self

from cri.addresses import TcpAddress
from cri.errors import FailedPrecondition, InvalidArgument, Unavailable
from cri.streaming import handshake, subprotocols
from cri.streaming.channels import ChannelError
from cri.streaming.command import CommandRequest, RunCommand, SpdyCommand, WebSocketCommand, serve_command
from cri.streaming.handshake import Refused, Request, RequestReader
from cri.streaming.listener import Listener
from cri.streaming.pipes import DuplexStream, StreamIO
from cri.streaming.port_forward import ForwardPort, SpdyPortForward, WebSocketPortForward
from cri.streaming.spdy import ProtocolError
from cri.streaming.tokens import TokenStore
from cri.streaming.transport import Disconnected, IdleWatch, SocketTransport, Transport
from cri.streaming.websocket import WebSocket, WebSocketTunnel
from cri.v1 import api_pb2 as v1

log = logging.getLogger(__name__)

IDLE_LIMIT = 4 * 60 * 60.0
"""Seconds without a byte of data after which a session is closed (CRI: 4 h)."""

STREAM_CREATION_TIMEOUT = 30.0
"""Seconds that a client has to send its request, and again to open the streams it needs."""

MAX_CONNECTIONS = 1000

StreamingRequest = CommandRequest | v1.PortForwardRequest

_KIND: dict[type[StreamingRequest], str] = {
    v1.ExecRequest: "exec",
    v1.AttachRequest: "attach",
    v1.PortForwardRequest: "portforward",
}


class StreamHandler(Protocol):
    """What a backend does for the sessions. Each call runs in its own task, cancelled when the client goes away.

    A CRIError is told to the client in its own words; any other exception is a bug, which is logged here and told as
    an internal error without its text.
    """

    async def exec(self, request: v1.ExecRequest, io: StreamIO) -> int:
        """Run the command to its end and return its exit code: 0 to 255, or -n when signal n killed it."""

    async def attach(self, request: v1.AttachRequest, io: StreamIO) -> None:
        """Connect ``io`` to the container's own streams, until the container ends or ``io.stdin`` does."""

    async def port_forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        """Connect ``stream`` to ``port`` on the sandbox's loopback; see ``DuplexStream.splice``."""


class StreamingServer:
    """``async with`` it; it opens its socket with the first URL, so one that is never used costs nothing.

    ``host`` and ``port``: where to listen; port 0 takes a free one. Beyond loopback only with ``tls``, as a URL is all
    that a client needs. ``advertise`` is the host to put into URLs when it is not the one to listen on.
    """

    def __init__(
        self,
        handler: StreamHandler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        advertise: str | None = None,
        tokens: TokenStore[StreamingRequest] | None = None,
        idle_limit: float = IDLE_LIMIT,
        stream_creation_timeout: float = STREAM_CREATION_TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        if tls is None and not TcpAddress(host, port).is_loopback:
            raise InvalidArgument(
                f"host {host!r}: the streaming server listens in plaintext on loopback only; use 127.0.0.1 or set tls"
            )
        self._handler = handler
        self._host, self._port = host, port
        self._tls = tls
        self._advertise = advertise or host
        self._tokens = TokenStore[StreamingRequest]() if tokens is None else tokens
        self._idle_limit = idle_limit
        self._creation_timeout = stream_creation_timeout
        self._max_connections = max_connections
        self._listener: Listener | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all sessions and free the socket; no task is left behind. Safe to call twice."""
        self._closed = True
        async with self._starting:
            if self._listener is not None:
                await self._listener.aclose()
                self._listener = None

    # --- URLs -----------------------------------------------------------------------------------------------

    async def exec_url(self, request: v1.ExecRequest) -> str:
        """A URL that runs ``request`` once, within a minute.

        Raises InvalidArgument, ResourceExhausted at 1000 URLs, and Unavailable when the socket cannot be opened.
        """
        _check_command(request)
        return await self._url(request)

    async def attach_url(self, request: v1.AttachRequest) -> str:
        """A URL that attaches as ``request`` says. The same errors as ``exec_url``."""
        _check_command(request)
        return await self._url(request)

    async def port_forward_url(self, request: v1.PortForwardRequest) -> str:
        """A URL that forwards connections into the sandbox. The same errors as ``exec_url``."""
        if not request.pod_sandbox_id:
            raise InvalidArgument("pod_sandbox_id is empty: name the sandbox to forward to")
        for port in request.port:
            if not 0 < port <= 65535:
                raise InvalidArgument(f"port {port} is not between 1 and 65535")
        return await self._url(request)

    async def _url(self, request: StreamingRequest) -> str:
        port = await self._listen()
        token = self._tokens.issue(copy.deepcopy(request))
        host = f"[{self._advertise}]" if ":" in self._advertise else self._advertise
        return f"{'https' if self._tls else 'http'}://{host}:{port}/{_KIND[type(request)]}/{token}"

    async def _listen(self) -> int:
        async with self._starting:
            if self._closed:
                raise FailedPrecondition("the streaming server is closed")
            if self._listener is None:
                try:
                    self._listener = await Listener.open(
                        self._host, self._port, self._connected, tls=self._tls, handshake_limit=self._creation_timeout
                    )
                except OSError as error:
                    where = f"{self._host}:{self._port}"
                    raise Unavailable(f"the streaming server cannot listen on {where}: {error}") from error
            return self._listener.port

    # --- connections ----------------------------------------------------------------------------------------

    async def _connected(self, transport: SocketTransport) -> None:
        try:
            await self._serve(transport)
        except (ProtocolError, ChannelError) as error:
            log.info("a streaming client broke the protocol: %s", error)
        except ConnectionError as error:
            log.debug("a streaming client has left: %s", error)
        except Exception:
            log.exception("a streaming connection failed")

    async def _serve(self, transport: SocketTransport) -> None:
        http = RequestReader()
        try:
            if self._listener is not None and len(self._listener.connections) > self._max_connections:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"there are {self._max_connections} connections already")
            async with asyncio.timeout(self._creation_timeout):
                request = await _read_request(transport, http)
            kind, _, token = request.path.removeprefix("/").partition("/")
            if kind not in _KIND.values():
                raise Refused(HTTPStatus.NOT_FOUND, "no such page")
            if request.method not in ("GET", "POST"):
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "use GET or POST", [("Allow", "GET, POST")])
            asked = self._asked(kind, token)
            # Everything that can be refused is, before the token is spent: the client may try another protocol with it.
            if request.upgrades_to("websocket"):
                subprotocol = handshake.choose_websocket(request, _websocket_protocols(kind))
                _check_channels(asked, subprotocol)
                connection, answer = handshake.grant_websocket(request, subprotocol)
                work = self._over_websocket(asked, subprotocol, WebSocket(connection, transport), transport)
            else:
                protocol = handshake.choose_spdy(request, _spdy_protocols(kind))
                answer = http.grant_spdy(protocol)
                transport.unread(request.trailing)
                work = self._over_spdy(asked, protocol, transport)
            self._tokens.redeem(token)
        except TimeoutError:
            return
        except Refused as refused:
            log.debug("refused a streaming request: %s", refused)
            transport.write(http.refusal(refused))
            await transport.flush()
            return
        transport.write(answer)
        await work

    def _asked(self, kind: str, token: str) -> StreamingRequest:
        asked = self._tokens.peek(token)
        if asked is None or _KIND[type(asked)] != kind:
            raise Refused(HTTPStatus.NOT_FOUND, "this URL is unknown, was used or has expired: ask for a new one")
        return asked

    def _over_spdy(self, asked: StreamingRequest, protocol: str, transport: Transport) -> Coroutine[Any, Any, None]:
        idle = IdleWatch(self._idle_limit)
        if isinstance(asked, v1.PortForwardRequest):
            forward = SpdyPortForward(transport, self._forward(asked), idle, creation_timeout=self._creation_timeout)
            return forward.serve()
        command = SpdyCommand(transport, subprotocols.SPDY_COMMAND[protocol], asked, idle)
        return serve_command(command, self._run(asked), idle, creation_timeout=self._creation_timeout)

    def _over_websocket(
        self, asked: StreamingRequest, subprotocol: str, socket: WebSocket, transport: Transport
    ) -> Coroutine[Any, Any, None]:
        if subprotocol == subprotocols.TUNNELED_PORT_FORWARD:
            return self._over_spdy(asked, subprotocols.SPDY_PORT_FORWARD, WebSocketTunnel(socket, transport))
        idle = IdleWatch(self._idle_limit)
        if isinstance(asked, v1.PortForwardRequest):
            protocol = subprotocols.WEBSOCKET_PORT_FORWARD[subprotocol]
            return WebSocketPortForward(socket, protocol, asked.port, self._forward(asked), idle).serve()
        command = WebSocketCommand(socket, subprotocols.WEBSOCKET_COMMAND[subprotocol], asked, idle)
        return serve_command(command, self._run(asked), idle, creation_timeout=self._creation_timeout)

    def _run(self, asked: CommandRequest) -> RunCommand:
        async def run(io: StreamIO) -> int:
            if isinstance(asked, v1.ExecRequest):
                return await self._handler.exec(asked, io)
            await self._handler.attach(asked, io)
            return 0

        return run

    def _forward(self, asked: v1.PortForwardRequest) -> ForwardPort:
        async def forward(port: int, stream: DuplexStream) -> None:
            await self._handler.port_forward(asked.pod_sandbox_id, port, stream)

        return forward


async def _read_request(transport: SocketTransport, http: RequestReader) -> Request:
    while True:
        data = await transport.receive()
        if (request := http.feed(data)) is not None:
            return request
        if not data:
            raise Disconnected("the client left in the middle of its request")


def _spdy_protocols(kind: str) -> Iterable[str]:
    return (subprotocols.SPDY_PORT_FORWARD,) if kind == "portforward" else subprotocols.SPDY_COMMAND


def _websocket_protocols(kind: str) -> Iterable[str]:
    if kind == "portforward":
        return subprotocols.TUNNELED_PORT_FORWARD, *subprotocols.WEBSOCKET_PORT_FORWARD
    return subprotocols.WEBSOCKET_COMMAND


def _check_channels(asked: StreamingRequest, subprotocol: str) -> None:
    """A WebSocket without a tunnel forwards the ports that the request names, each with two of its channels."""
    if not isinstance(asked, v1.PortForwardRequest) or subprotocol == subprotocols.TUNNELED_PORT_FORWARD:
        return
    if not 0 < len(asked.port) <= subprotocols.MAX_FORWARDED_PORTS:
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            f"PortForwardRequest.port names {len(asked.port)} ports and a WebSocket forwards those, 1 to "
            f"{subprotocols.MAX_FORWARDED_PORTS}; use SPDY or the subprotocol {subprotocols.TUNNELED_PORT_FORWARD}",
        )


def _check_command(request: CommandRequest) -> None:
    """CRI's rules for exec and attach."""
    if not request.container_id:
        raise InvalidArgument("container_id is empty: name the container")
    if request.tty and request.stderr:
        raise InvalidArgument("tty and stderr are both true: a terminal has one output, so ask for stdout only")
    if not (request.stdin or request.stdout or request.stderr):
        raise InvalidArgument("stdin, stdout and stderr are all false: ask for at least one of them")
