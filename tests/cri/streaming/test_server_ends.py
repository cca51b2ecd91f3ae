"""How sessions and the streaming server end: clients that vanish, closing, malformed input, TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from cri.errors import FailedPrecondition
from cri.streaming import StreamingServer
from cri.streaming.client import run_command
from cri.tls import Tls
from tests.cri.streaming.handlers import Handler, echo, exec_request, exits, forever
from tests.cri.streaming.peers import command_peer, dialled, spdy_peer, websocket_peer
from tests.cri.streaming.sessions import works


@pytest.fixture
async def server() -> AsyncIterator[StreamingServer]:
    async with StreamingServer(Handler(exits(0))) as running:
        yield running


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speaking", ["spdy v4.channel.k8s.io", "websocket v5.channel.k8s.io"])
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_vanishes_cancels_its_handler(speaking: str, how: str) -> None:
    handler = Handler(forever)
    async with StreamingServer(handler) as server:
        async with command_peer(await server.exec_url(exec_request()), speaking, "stdout") as peer:
            await handler.begun.wait()
            if how == "resets":
                no_linger = b"\1\0\0\0\0\0\0\0"
                peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        assert await handler.ends.get() == "cancelled"


async def test_a_websocket_that_is_closed_cancels_its_handler() -> None:
    handler = Handler(forever)
    async with (
        StreamingServer(handler) as server,
        websocket_peer(await server.exec_url(exec_request()), "v4.channel.k8s.io") as peer,
    ):
        peer.writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
        assert await handler.ends.get() == "cancelled"


@pytest.mark.parametrize("speaking", ["spdy v4.channel.k8s.io", "websocket v5.channel.k8s.io"])
async def test_closing_the_server_ends_its_sessions(speaking: str) -> None:
    handler = Handler(forever)
    async with StreamingServer(handler) as server:
        url = await server.exec_url(exec_request())
        async with command_peer(url, speaking, "stdout") as peer:
            await handler.begun.wait()
            await server.aclose()
            assert handler.ends.get_nowait() == "cancelled"
            with pytest.raises(EOFError):
                await peer.until(lambda: False)


async def test_a_closed_server_can_be_closed_again_and_gives_no_urls() -> None:
    server = StreamingServer(Handler())
    await server.exec_url(exec_request())
    await server.aclose()
    await server.aclose()
    with pytest.raises(FailedPrecondition):
        await server.exec_url(exec_request())


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_came_as_the_server_closed_is_not_served(turns: int, secure: bool, tls: Tls) -> None:
    """However far the event loop had got with it; for TLS that is somewhere in its handshake."""
    server = StreamingServer(Handler(), tls=contexts(tls)[0] if secure else None)
    url = await server.exec_url(exec_request())
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.aclose()
        client.setblocking(False)
        assert await end_of(client) == b""


async def end_of(client: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(client, 10)
    except ConnectionResetError:
        return b""


# --- malformed input -------------------------------------------------------------------------------------------------


def garbage() -> list[bytes]:
    return [
        b"\0" * 1000,
        b"\xff" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
        b"GET /exec/x HTTP/1.1\r\nHost: \xff\r\n\r\n",
        *(os.urandom(size) for size in range(1, 2000, 40)),
    ]


async def send_garbage(url: str) -> None:
    """Each piece over a connection of its own, and whatever the server says to it."""
    for data in garbage():
        async with dialled(url) as (reader, writer):
            writer.write(data)
            writer.write_eof()
            try:
                await reader.read()
            except ConnectionResetError:
                continue


async def test_garbage_at_the_port_leaves_the_server_answering(server: StreamingServer) -> None:
    url = await server.exec_url(exec_request())
    await send_garbage(url)
    assert await works(url)


@pytest.mark.parametrize("speaking", ["spdy v4.channel.k8s.io", "websocket v5.channel.k8s.io"])
async def test_garbage_in_a_session_ends_that_session_only(speaking: str) -> None:
    handler = Handler(forever)
    async with StreamingServer(handler) as server:
        other = await server.exec_url(exec_request())
        async with (
            command_peer(other, speaking, "stdout") as bystander,
            command_peer(await server.exec_url(exec_request()), speaking, "stdout") as peer,
        ):
            peer.writer.write(b"\xff" * 1000)
            assert await handler.ends.get() == "cancelled"
            assert handler.ends.empty()
            bystander.writer.close()


async def test_a_spdy_client_that_breaks_the_protocol_is_told_so(server: StreamingServer) -> None:
    async with spdy_peer(await server.exec_url(exec_request()), "v4.channel.k8s.io") as peer:
        peer.writer.write(b"\x80\x07\x00\x01\x00\x00\x00\x00")
        await peer.to_the_end()


async def test_a_websocket_client_that_breaks_the_channel_protocol_is_told_so() -> None:
    async with StreamingServer(Handler(echo)) as server:
        url = await server.exec_url(exec_request(stdin=True))
        async with websocket_peer(url, "v4.base64.channel.k8s.io") as peer:
            peer.writer.write(b"\x81\x85\0\0\0\0" + b"0@@@@")
            await peer.to_the_end()
            assert peer.code == 1007


# --- TLS -------------------------------------------------------------------------------------------------------------


def contexts(tls: Tls) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(tls.cert, tls.key)
    return listening, ssl.create_default_context(cafile=tls.ca)


async def test_garbage_instead_of_tls_leaves_the_server_answering(tls: Tls) -> None:
    listening, trusting = contexts(tls)
    async with StreamingServer(Handler(exits(7)), tls=listening) as server:
        url = await server.exec_url(exec_request())
        await send_garbage(url)
        assert url.startswith("https://")
        assert await run_command(url, stdout=_ignore, tls=trusting) == 7


async def _ignore(data: bytes) -> None:
    return
