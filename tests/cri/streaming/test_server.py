"""The streaming server: URLs, what it refuses, limits, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from cri.errors import InvalidArgument, ResourceExhausted, Unavailable
from cri.streaming import StreamingRequest, StreamingServer, TokenStore
from cri.v1 import api_pb2 as v1
from tests.cri.streaming.handlers import Handler, echo, echo_connection, exec_request, exits, forever
from tests.cri.streaming.peers import SPDY_UPGRADE, answer, command_peer, dialled, requested, spdy_peer
from tests.cri.streaming.sessions import works

V4 = [*SPDY_UPGRADE, ("X-Stream-Protocol-Version", "v4.channel.k8s.io")]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[StreamingServer]:
    async with StreamingServer(Handler(exits(0))) as running:
        yield running


# --- URLs ------------------------------------------------------------------------------------------------------------


async def test_a_url_leads_to_loopback_and_says_what_it_is_for(server: StreamingServer) -> None:
    urls = [
        await server.exec_url(exec_request()),
        await server.attach_url(v1.AttachRequest(container_id="c", stdout=True)),
        await server.port_forward_url(v1.PortForwardRequest(pod_sandbox_id="p")),
    ]
    assert {urlsplit(url).hostname for url in urls} == {"127.0.0.1"}
    assert [urlsplit(url).path.split("/")[1] for url in urls] == ["exec", "attach", "portforward"]


async def test_all_urls_lead_to_one_port(server: StreamingServer) -> None:
    ports = {urlsplit(await server.exec_url(exec_request())).port for _ in range(3)}
    assert len(ports) == 1


async def test_no_socket_is_open_before_the_first_url() -> None:
    async with StreamingServer(Handler()) as server:
        assert server._listener is None


async def test_an_advertised_host_is_in_the_url() -> None:
    async with StreamingServer(Handler(), advertise="::1") as server:
        assert (await server.exec_url(exec_request())).startswith("http://[::1]:")


async def test_the_request_can_change_after_its_url_was_made() -> None:
    seen: list[str] = []

    async def look(request: v1.ExecRequest, io: object) -> int:
        seen.append(request.container_id)
        return 0

    request = exec_request()
    async with StreamingServer(Handler(look)) as server:
        url = await server.exec_url(request)
        request.container_id = "another"
        await works(url)
    assert seen == ["c"]


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (v1.ExecRequest(stdout=True), "container_id"),
        (v1.ExecRequest(container_id="c"), "stdin"),
        (v1.ExecRequest(container_id="c", tty=True, stdout=True, stderr=True), "tty"),
    ],
)
async def test_a_request_that_cri_forbids_gets_no_url(
    server: StreamingServer, request_: v1.ExecRequest, word: str
) -> None:
    with pytest.raises(InvalidArgument, match=word):
        await server.exec_url(request_)


@pytest.mark.parametrize(
    ("request_", "word"),
    [(v1.PortForwardRequest(port=[80]), "pod_sandbox_id"), (v1.PortForwardRequest(pod_sandbox_id="p", port=[0]), "0")],
)
async def test_a_port_forward_that_cri_forbids_gets_no_url(
    server: StreamingServer, request_: v1.PortForwardRequest, word: str
) -> None:
    with pytest.raises(InvalidArgument, match=word):
        await server.port_forward_url(request_)


async def test_the_thousand_and_first_url_is_refused(server: StreamingServer) -> None:
    for _ in range(1000):
        await server.exec_url(exec_request())
    with pytest.raises(ResourceExhausted):
        await server.exec_url(exec_request())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_plaintext_beyond_loopback_is_refused(host: str) -> None:
    with pytest.raises(InvalidArgument, match="loopback"):
        StreamingServer(Handler(), host=host)


async def test_a_port_that_is_taken_is_told_with_its_place() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with StreamingServer(Handler(), port=port) as server:
            with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
                await server.exec_url(exec_request())


async def test_a_server_on_localhost_by_name_can_be_reached() -> None:
    async with StreamingServer(Handler(exits(0)), host="localhost") as server:
        assert await works(await server.exec_url(exec_request()))


# --- what a URL is good for ------------------------------------------------------------------------------------------


async def test_a_url_works_once(server: StreamingServer) -> None:
    url = await server.exec_url(exec_request())
    assert await works(url)
    assert await answer(url, V4) == 404


async def test_a_url_that_expired_is_unknown() -> None:
    clock = Clock()
    tokens = TokenStore[StreamingRequest](clock=clock)
    async with StreamingServer(Handler(exits(0)), tokens=tokens) as server:
        url = await server.exec_url(exec_request())
        clock.now += 60.0
        assert await answer(url, V4) == 404


@pytest.mark.parametrize("path", ["/exec/guess", "/exec/", "/exec", "/", "/cri/exec/guess", "/metrics"])
async def test_a_url_that_was_never_given_out_is_unknown(server: StreamingServer, path: str) -> None:
    url = await server.exec_url(exec_request())
    assert await answer(url.replace(urlsplit(url).path, path), V4) == 404


async def test_a_token_for_exec_does_not_attach(server: StreamingServer) -> None:
    url = await server.exec_url(exec_request())
    assert await answer(url.replace("/exec/", "/attach/"), V4) == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_other_methods_than_get_and_post_are_not_allowed(server: StreamingServer, method: str) -> None:
    url = await server.exec_url(exec_request())
    async with requested(url, V4, method) as (head, _, _, _):
        assert head.status_code == 405
        assert (b"allow", b"GET, POST") in head.headers


async def test_get_upgrades_to_spdy_too(server: StreamingServer) -> None:
    assert await answer(await server.exec_url(exec_request()), V4, "GET") == 101


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([*SPDY_UPGRADE], 400),
        ([*SPDY_UPGRADE, ("X-Stream-Protocol-Version", "v9.channel.k8s.io")], 403),
        ([("Connection", "Upgrade"), ("Upgrade", "websocket")], 400),
        ([("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Protocol", "v9")], 403),
    ],
    ids=["no upgrade", "no protocol", "an unknown protocol", "half a WebSocket", "an unknown subprotocol"],
)
async def test_a_refused_handshake_does_not_use_the_url_up(
    server: StreamingServer, headers: list[tuple[str, str]], status: int
) -> None:
    url = await server.exec_url(exec_request())
    assert await answer(url, headers, "GET") == status
    assert await works(url)


@pytest.mark.parametrize("ports", [[], [80] * 128], ids=["none", "more than there are channels"])
async def test_a_port_forward_whose_ports_do_not_fit_a_websocket_can_still_use_spdy(ports: list[int]) -> None:
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
    ]
    async with StreamingServer(Handler(port_forward=echo_connection)) as server:
        url = await server.port_forward_url(v1.PortForwardRequest(pod_sandbox_id="p", port=ports))
        assert await answer(url, headers, "GET") == 400
        async with spdy_peer(url, "portforward.k8s.io"):
            pass


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_one_connection_more_than_the_limit_is_told_to_come_back() -> None:
    handler = Handler(forever)
    async with StreamingServer(handler, max_connections=1) as server:
        url = await server.exec_url(exec_request())
        async with command_peer(await server.exec_url(exec_request()), "spdy v4.channel.k8s.io", "stdout"):
            await handler.begun.wait()
            assert await answer(url, V4) == 503
        assert await handler.ends.get() == "cancelled"
        assert server._listener is not None
        while gone := server._listener.connections:
            await asyncio.wait(gone)
        assert await answer(url, V4) == 101


@pytest.mark.parametrize("speaking", ["spdy v4.channel.k8s.io", "websocket v5.channel.k8s.io"])
async def test_a_session_that_idles_for_too_long_is_ended_and_told_so(speaking: str) -> None:
    handler = Handler(forever)
    async with StreamingServer(handler, idle_limit=0.5) as server:
        async with command_peer(await server.exec_url(exec_request()), speaking, "stdout") as peer:
            await peer.to_the_end()
            assert b"idle for 0.5 s" in peer.received["error"]
        assert await handler.ends.get() == "cancelled"


async def test_a_session_that_talks_does_not_idle() -> None:
    async with StreamingServer(Handler(echo), idle_limit=1) as server:
        url = await server.exec_url(exec_request(stdin=True))
        async with command_peer(url, "spdy v4.channel.k8s.io", "stdin", "stdout") as peer:
            for number in range(15):
                await peer.send("stdin", b"%d" % number)
                await peer.until_received("stdout", b"%d" % number)
                await asyncio.sleep(0.1)


async def test_a_client_that_sends_no_request_is_hung_up_on() -> None:
    async with (
        StreamingServer(Handler(), stream_creation_timeout=0.5) as server,
        dialled(await server.exec_url(exec_request())) as (reader, _),
    ):
        assert await reader.read() == b""


async def test_a_client_that_opens_no_streams_is_hung_up_on() -> None:
    async with (
        StreamingServer(Handler(), stream_creation_timeout=0.5) as server,
        spdy_peer(await server.exec_url(exec_request()), "v4.channel.k8s.io") as peer,
    ):
        await peer.open("error")
        with pytest.raises(EOFError):
            await peer.to_the_end()


async def test_a_client_that_reads_nothing_holds_its_handler_back() -> None:
    written = 0

    async def flood(request: v1.ExecRequest, io: object) -> int:
        nonlocal written
        while True:
            await io.stdout.write(bytes(65536))  # type: ignore[attr-defined]
            written += 65536

    handler = Handler(flood)
    async with StreamingServer(handler) as server:
        async with command_peer(await server.exec_url(exec_request()), "spdy v4.channel.k8s.io", "stdout"):
            before = -1
            while before != written:  # until a while passes in which nothing more is written
                before = written
                await asyncio.sleep(0.2)
            assert written < 64 << 20
        assert await handler.ends.get() in ("cancelled", "BrokenPipeError", "ConnectionResetError")


async def test_a_command_that_reads_nothing_holds_its_client_back() -> None:
    async with StreamingServer(Handler(forever)) as server:
        url = await server.exec_url(exec_request(stdin=True))
        async with command_peer(url, "spdy v4.channel.k8s.io", "stdin", "stdout") as peer:
            sending = asyncio.create_task(peer.send("stdin", bytes((1 << 24) - 1)))
            done, _ = await asyncio.wait({sending}, timeout=0.5)
            assert not done
            sending.cancel()
