"""The client of port-forward: local connections that come out in the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cri.errors import InvalidArgument, NotFound, Unavailable
from cri.streaming import DuplexStream, StreamingServer
from cri.streaming.client import PortForwarder, forward_ports
from cri.v1 import api_pb2 as v1
from tests.cri.streaming.handlers import Handler, echo_connection, forever_forwarding


class Told:
    """What the forwarder was told of connections that failed."""

    def __init__(self) -> None:
        self.failures: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    def __call__(self, port: int, message: str) -> None:
        self.failures.put_nowait((port, message))


@asynccontextmanager
async def forwarding(
    handler: Handler, *ports: int, told: Told | None = None
) -> AsyncIterator[tuple[StreamingServer, PortForwarder]]:
    async with StreamingServer(handler) as server:
        url = await server.port_forward_url(v1.PortForwardRequest(pod_sandbox_id="p"))
        async with forward_ports(url, [(0, port) for port in ports], on_error=told or Told()) as forwarder:
            yield server, forwarder


async def ask(port: int, question: bytes) -> bytes:
    """What comes back until the end, after the own end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(question)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def test_a_local_connection_comes_out_in_the_sandbox() -> None:
    async with forwarding(Handler(port_forward=echo_connection), 80) as (_, forwarder):
        assert await ask(forwarder.local_ports[0], b"hello") == b"p:80 hello"


async def test_many_connections_to_several_ports_do_not_mix() -> None:
    async with forwarding(Handler(port_forward=echo_connection), 80, 8080) as (_, forwarder):
        first, second = forwarder.local_ports
        large = bytes(range(256)) * 2000
        answers = await asyncio.gather(*(ask(port, large) for port in (first, second) * 5))
        assert answers == [b"p:80 " + large, b"p:8080 " + large] * 5


async def test_a_connection_that_fails_is_told_of_and_the_next_one_works() -> None:
    told, attempts = Told(), 0

    async def serve(sandbox_id: str, port: int, stream: DuplexStream) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise Unavailable("connection refused")
        await echo_connection(sandbox_id, port, stream)

    async with forwarding(Handler(port_forward=serve), 80, told=told) as (_, forwarder):
        reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.local_ports[0])
        assert await reader.read() == b""
        writer.close()
        assert await told.failures.get() == (80, "error forwarding port 80: connection refused")
        assert await ask(forwarder.local_ports[0], b"x") == b"p:80 x"


async def test_leaving_the_block_cuts_what_still_runs() -> None:
    handler = Handler(port_forward=forever_forwarding)
    async with forwarding(handler, 80) as (_, forwarder):
        reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.local_ports[0])
        await handler.begun.wait()
    assert await reader.read() == b""
    writer.close()


async def test_the_end_of_the_session_is_reported() -> None:
    async with forwarding(Handler(port_forward=echo_connection), 80) as (server, forwarder):
        waiting = asyncio.create_task(forwarder.wait_closed())
        await server.aclose()
        with pytest.raises(Unavailable, match="ended the port-forward session"):
            await waiting


async def test_a_connection_after_the_end_of_the_session_is_refused_at_once() -> None:
    told = Told()
    async with forwarding(Handler(port_forward=echo_connection), 80, told=told) as (server, forwarder):
        await server.aclose()
        with pytest.raises(Unavailable):
            await forwarder.wait_closed()
        assert await ask(forwarder.local_ports[0], b"") == b""
        port, message = await told.failures.get()
        assert (port, "did not take" in message) == (80, True)


@pytest.mark.parametrize("ports", [[], [(70000, 80)], [(0, 0)], [(0, -1)]])
async def test_ports_that_are_none_are_an_invalid_argument(ports: list[tuple[int, int]]) -> None:
    with pytest.raises(InvalidArgument, match="port"):
        async with forward_ports("http://127.0.0.1:1/portforward/x", ports):
            pass


async def test_a_local_port_that_is_taken_is_an_invalid_argument() -> None:
    async with forwarding(Handler(port_forward=echo_connection), 80) as (server, forwarder):
        url = await server.port_forward_url(v1.PortForwardRequest(pod_sandbox_id="p"))
        with pytest.raises(InvalidArgument, match="cannot listen"):
            async with forward_ports(url, [(forwarder.local_ports[0], 80)]):
                pass


async def test_a_url_for_something_else_is_not_found() -> None:
    async with StreamingServer(Handler()) as server:
        url = await server.attach_url(v1.AttachRequest(container_id="c", stdout=True))
        with pytest.raises(NotFound):
            async with forward_ports(url.replace("/attach/", "/portforward/"), [(0, 80)]):
                pass
