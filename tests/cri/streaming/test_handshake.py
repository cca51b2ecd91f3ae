"""The HTTP request before a session: what is read, granted and refused."""

from __future__ import annotations

from http import HTTPStatus

import h11
import pytest

from cri.streaming import handshake
from cri.streaming.handshake import MAX_REQUEST, Refused, Request, RequestReader
from cri.streaming.subprotocols import SPDY_COMMAND, WEBSOCKET_COMMAND

SPDY_HEAD = (
    b"POST /exec/token?x=1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n\r\n"
)
WEBSOCKET_HEADERS = {
    "Host": "h",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "v5.channel.k8s.io, v4.channel.k8s.io",
}


def head(headers: dict[str, str], method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} /exec/token HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read(wire: bytes) -> Request:
    request = RequestReader().feed(wire)
    assert request is not None
    return request


def grant(wire: bytes, subprotocol: str = "v5.channel.k8s.io") -> bytes:
    return handshake.grant_websocket(read(wire), subprotocol)[1]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_request_that_arrives_byte_by_byte_is_the_same() -> None:
    reader = RequestReader()
    *before, last = (reader.feed(SPDY_HEAD[i : i + 1]) for i in range(len(SPDY_HEAD)))
    assert set(before) == {None}
    assert last == read(SPDY_HEAD)


def test_a_query_is_no_part_of_the_path() -> None:
    assert read(SPDY_HEAD).path == "/exec/token"


def test_what_comes_after_the_request_is_kept() -> None:
    assert read(SPDY_HEAD + b"\x80\x03").trailing == b"\x80\x03"


def test_a_header_that_is_given_twice_has_all_its_values() -> None:
    assert read(SPDY_HEAD).values("x-stream-protocol-version") == ["v4.channel.k8s.io", "v3.channel.k8s.io"]


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", HTTPStatus.BAD_REQUEST, id="no HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", HTTPStatus.BAD_REQUEST, id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", HTTPStatus.BAD_REQUEST, id="no Host"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * MAX_REQUEST,
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            id="a head without end",
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", HTTPStatus.BAD_REQUEST, id="a body"),
        pytest.param(b"", HTTPStatus.BAD_REQUEST, id="nothing"),
    ],
)
def test_what_is_no_streaming_request_is_refused(wire: bytes, status: HTTPStatus) -> None:
    with pytest.raises(Refused) as refused:
        RequestReader().feed(wire)
    assert refused.value.status == status


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
def test_a_refusal_is_an_answer_that_clients_can_read(method: str) -> None:
    reader = RequestReader()
    reader.feed(head({"Host": "h"}, method))
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(reader.refusal(Refused(HTTPStatus.NOT_FOUND, "no such page")))
    client.receive_data(b"")
    answer = client.next_event()
    assert isinstance(answer, h11.Response)
    assert (answer.status_code, answer.reason) == (404, b"Not Found")


def test_a_refusal_gives_its_reason_in_words() -> None:
    reader = RequestReader()
    reader.feed(head({"Host": "h"}))
    assert reader.refusal(Refused(HTTPStatus.NOT_FOUND, "no such page")).endswith(b"\r\n\r\nno such page\n")


# --- SPDY ------------------------------------------------------------------------------------------------------------


def test_the_first_protocol_of_the_client_that_is_known_is_chosen() -> None:
    assert handshake.choose_spdy(read(SPDY_HEAD), ["v3.channel.k8s.io", "v4.channel.k8s.io"]) == "v4.channel.k8s.io"


def test_the_chosen_protocol_is_in_the_answer() -> None:
    reader = RequestReader()
    reader.feed(SPDY_HEAD)
    answer = reader.grant_spdy("v4.channel.k8s.io")
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Host": "h"}, HTTPStatus.BAD_REQUEST, id="no upgrade"),
        pytest.param({"Host": "h", "Upgrade": "SPDY/3.1"}, HTTPStatus.BAD_REQUEST, id="no Connection: Upgrade"),
        pytest.param(
            {"Host": "h", "Connection": "Upgrade", "Upgrade": "h2c", "X-Stream-Protocol-Version": "v4.channel.k8s.io"},
            HTTPStatus.BAD_REQUEST,
            id="another upgrade",
        ),
        pytest.param(
            {"Host": "h", "Connection": "Upgrade", "Upgrade": "SPDY/3.1"}, HTTPStatus.BAD_REQUEST, id="no protocol"
        ),
        pytest.param(
            {"Host": "h", "Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v9"},
            HTTPStatus.FORBIDDEN,
            id="an unknown protocol",
        ),
    ],
)
def test_what_is_no_upgrade_to_spdy_is_refused(headers: dict[str, str], status: HTTPStatus) -> None:
    with pytest.raises(Refused) as refused:
        handshake.choose_spdy(read(head(headers, "POST")), SPDY_COMMAND)
    assert refused.value.status == status


def test_a_refused_protocol_is_answered_with_those_that_are_known() -> None:
    headers = {"Host": "h", "Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v9"}
    with pytest.raises(Refused) as refused:
        handshake.choose_spdy(read(head(headers, "POST")), ["v4.channel.k8s.io"])
    assert refused.value.headers == [("X-Accepted-Stream-Protocol-Versions", "v4.channel.k8s.io")]


# --- WebSocket -------------------------------------------------------------------------------------------------------


def test_a_websocket_is_granted_with_the_key_of_the_specification() -> None:
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in grant(head(WEBSOCKET_HEADERS))


def test_a_client_without_a_subprotocol_is_granted_the_nameless_one() -> None:
    headers = {name: value for name, value in WEBSOCKET_HEADERS.items() if name != "Sec-WebSocket-Protocol"}
    assert handshake.choose_websocket(read(head(headers)), WEBSOCKET_COMMAND) == ""
    assert b"sec-websocket-protocol" not in grant(head(headers), "").lower()


def test_an_unknown_subprotocol_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        handshake.choose_websocket(read(head({**WEBSOCKET_HEADERS, "Sec-WebSocket-Protocol": "v9"})), WEBSOCKET_COMMAND)
    assert refused.value.status == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(head(WEBSOCKET_HEADERS, "POST"), id="POST"),
        pytest.param(head({**WEBSOCKET_HEADERS, "Sec-WebSocket-Version": "8"}), id="another version"),
        pytest.param(head({n: v for n, v in WEBSOCKET_HEADERS.items() if n != "Sec-WebSocket-Key"}), id="no key"),
        pytest.param(
            head({n: v for n, v in WEBSOCKET_HEADERS.items() if n != "Host"}, version="1.0"), id="HTTP/1.0 without Host"
        ),
        pytest.param(head({**WEBSOCKET_HEADERS, "Host": "h\xe4"}), id="a Host that is no ASCII"),
        pytest.param(head({**WEBSOCKET_HEADERS, "Sec-WebSocket-Extensions": "\xe4"}), id="an extension beyond ASCII"),
        pytest.param(head({**WEBSOCKET_HEADERS, "Connection": "Upgrade, \xe4"}), id="a connection beyond ASCII"),
    ],
)
def test_what_is_no_websocket_handshake_is_refused(wire: bytes) -> None:
    with pytest.raises(Refused) as refused:
        grant(wire)
    assert refused.value.status == HTTPStatus.BAD_REQUEST
