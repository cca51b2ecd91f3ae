"""The HTTP request that starts every session: read with h11, then an upgrade is granted or refused. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from cri.streaming.subprotocols import negotiate

MAX_REQUEST = 16 * 1024
"""Bytes of a request's head."""

SPDY = "SPDY/3.1"
PROTOCOL_VERSION = "X-Stream-Protocol-Version"
_ACCEPTED_VERSIONS = "X-Accepted-Stream-Protocol-Versions"

Headers = Sequence[tuple[str, str]]


class Refused(Exception):
    """The request cannot become a session; ``status`` and ``message`` are the answer."""

    def __init__(self, status: HTTPStatus, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head, and the bytes that came after it."""

    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]]
    trailing: bytes = b""

    def values(self, name: str) -> list[str]:
        """All comma-separated values of a header, in order."""
        wanted = name.lower().encode("ascii")
        lists = (value.decode("latin-1").split(",") for key, value in self.headers if key == wanted)
        return [stripped for values in lists for value in values if (stripped := value.strip())]

    def upgrades_to(self, protocol: str) -> bool:
        return "upgrade" in map(str.lower, self.values("Connection")) and protocol.lower() in map(
            str.lower, self.values("Upgrade")
        )


class RequestReader:
    """The server's side of one HTTP request."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST)
        self._request: h11.Request | None = None

    def feed(self, data: bytes) -> Request | None:
        """The request once it is complete. Raises Refused; empty ``data`` means that the client is gone."""
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.Request):
                    self._request = event
                elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                    return self._complete(self._request)
                else:
                    raise Refused(HTTPStatus.BAD_REQUEST, "a streaming request has no body")
        except h11.RemoteProtocolError as error:
            raise Refused(HTTPStatus(error.error_status_hint), str(error)) from error

    def _complete(self, request: h11.Request) -> Request:
        return Request(
            method=request.method.decode("ascii"),
            path=request.target.decode("latin-1").partition("?")[0],
            headers=list(request.headers),
            trailing=bytes(self._http.trailing_data[0]),
        )

    def refusal(self, refused: Refused) -> bytes:
        """The answer that ends the connection; empty when the client cannot read one."""
        body = b"" if self._is_head() else (refused.message + "\n").encode()
        headers = [
            *refused.headers,
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        response = h11.Response(status_code=refused.status, headers=headers, reason=refused.status.phrase)
        parts = [self._http.send(event) for event in (response, h11.Data(data=body), h11.EndOfMessage())]
        return b"".join(part for part in parts if part)

    def _is_head(self) -> bool:
        return self._request is not None and self._request.method == b"HEAD"

    def grant_spdy(self, protocol: str) -> bytes:
        """101, with the chosen protocol."""
        headers = [("Connection", "Upgrade"), ("Upgrade", SPDY), (PROTOCOL_VERSION, protocol)]
        response = h11.InformationalResponse(status_code=101, headers=headers, reason="Switching Protocols")
        return self._http.send(response) or b""


def choose_spdy(request: Request, supported: Iterable[str]) -> str:
    """The protocol to speak over SPDY. Raises Refused."""
    if not request.upgrades_to(SPDY):
        raise Refused(
            HTTPStatus.BAD_REQUEST, f"this URL is for an upgrade to {SPDY} or WebSocket; the request asks for neither"
        )
    offered = request.values(PROTOCOL_VERSION)
    if not offered:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the header {PROTOCOL_VERSION} is missing or empty")
    names = list(supported)
    if (chosen := negotiate(offered, names)) is None:
        raise Refused(
            HTTPStatus.FORBIDDEN,
            f"no common protocol: the client speaks {', '.join(offered)}, the server {', '.join(names)}",
            [(_ACCEPTED_VERSIONS, name) for name in names],
        )
    return chosen


def choose_websocket(request: Request, supported: Iterable[str]) -> str:
    """The subprotocol to speak over a WebSocket, perhaps the nameless one. Raises Refused."""
    offered = request.values("Sec-WebSocket-Protocol") or [""]
    names = list(supported)
    if (chosen := negotiate(offered, names)) is None:
        ours = ", ".join(name for name in names if name)
        raise Refused(
            HTTPStatus.FORBIDDEN, f"no common subprotocol: the client speaks {', '.join(offered)}, the server {ours}"
        )
    return chosen


def grant_websocket(request: Request, subprotocol: str) -> tuple[WSConnection, bytes]:
    """The open WebSocket and the answer to send. Raises Refused."""
    connection = WSConnection(ConnectionType.SERVER)
    try:
        if request.method != "GET":
            raise RemoteProtocolError("a WebSocket starts with GET")
        connection.initiate_upgrade_connection(list(request.headers), request.path)
        for _ in connection.events():
            pass  # the request, which we have
        answer = connection.send(AcceptConnection(subprotocol=subprotocol or None))
        connection.receive_data(request.trailing)
    except (RemoteProtocolError, LocalProtocolError, h11.LocalProtocolError, UnicodeError) as error:
        # The last two come from headers that HTTP allows and wsproto does not expect.
        raise Refused(HTTPStatus.BAD_REQUEST, f"not a WebSocket handshake: {error}") from error
    return connection, answer
