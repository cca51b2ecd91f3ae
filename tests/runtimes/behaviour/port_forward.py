"""PortForward on a real engine, through the URL: many connections, both kinds of sandbox, and what is refused."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition, NotFound, Unimplemented
from cri.runtime import Runtime
from cri.streaming.client import PortForwarder, forward_ports
from cri.v1 import api_pb2 as v1
from runtimes.shared import network_namespace
from tests.runtimes import calls
from tests.runtimes.behaviour.hand import EngineHand, RunSandbox

pytestmark = pytest.mark.usefixtures("root")

Failures = list[tuple[int, str]]


@asynccontextmanager
async def forwarding(
    runtime: Runtime, sandbox_id: str, port: int, failures: Failures | None = None
) -> AsyncIterator[PortForwarder]:
    told: Failures = [] if failures is None else failures
    url = (await runtime.port_forward(v1.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port]))).url
    async with forward_ports(url, [(0, port)], on_error=lambda *failure: told.append(failure)) as forwarder:
        yield forwarder


async def exchanged(port: int, sent: bytes) -> bytes:
    """Send, half-close, and read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def answer_in_capitals(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data.upper())
        await writer.drain()
    writer.close()


@asynccontextmanager
async def serving_inside(process: Path, host: str, port: int) -> AsyncIterator[None]:
    """A server on a loopback address of the network namespace that ``process`` is in."""

    def listen() -> socket.socket:
        with (process / "ns/net").open() as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)

    with ThreadPoolExecutor(1) as thread:  # which ends here: it is lost for this namespace
        listener = await asyncio.wrap_future(thread.submit(listen))
    async with await asyncio.start_server(answer_in_capitals, sock=listener):
        yield


async def test_many_connections_at_once_reach_the_pod_each_to_its_end(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    sandbox_id = await run_sandbox()
    inside = await calls.pause_process(runtime, sandbox_id)
    texts = [bytes([ord("A") + n]) * (1000 + 10_000 * n) for n in range(25)]
    async with (
        serving_inside(inside, "127.0.0.1", 8080),
        forwarding(runtime, sandbox_id, 8080) as forwarder,
        asyncio.timeout(60),
    ):
        port = forwarder.local_ports[0]
        assert await asyncio.gather(*(exchanged(port, text.lower()) for text in texts)) == texts


async def test_a_server_on_the_ipv6_loopback_alone_is_reached(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={"net.ipv6.conf.lo.disable_ipv6": "0"}))
    inside = await calls.pause_process(runtime, sandbox_id)
    async with (
        serving_inside(inside, "::1", 8080),
        forwarding(runtime, sandbox_id, 8080) as forwarder,
        asyncio.timeout(30),
    ):
        assert await exchanged(forwarder.local_ports[0], b"six") == b"SIX"


async def test_a_host_network_sandbox_forwards_to_the_hosts_loopback(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox(linux=calls.on_the_host())
    async with await asyncio.start_server(answer_in_capitals, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with forwarding(runtime, sandbox_id, port) as forwarder, asyncio.timeout(30):
            assert await exchanged(forwarder.local_ports[0], b"host") == b"HOST"


async def test_a_port_where_nobody_listens_is_told_and_the_session_goes_on(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    sandbox_id = await run_sandbox()
    failures: Failures = []
    async with forwarding(runtime, sandbox_id, 8080, failures) as forwarder, asyncio.timeout(30):
        assert await exchanged(forwarder.local_ports[0], b"anyone?") == b""
        async with serving_inside(await calls.pause_process(runtime, sandbox_id), "127.0.0.1", 8080):
            assert await exchanged(forwarder.local_ports[0], b"now?") == b"NOW?"
    assert [port for port, _ in failures] == [8080]
    assert "refused" in failures[0][1]


async def test_a_sandbox_that_stopped_behind_the_url_is_told(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    failures: Failures = []
    async with forwarding(runtime, sandbox_id, 8080, failures) as forwarder, asyncio.timeout(30):
        await calls.stop(runtime, sandbox_id)
        assert await exchanged(forwarder.local_ports[0], b"anyone?") == b""
    assert "not ready" in failures[0][1]


async def test_no_url_is_given_for_a_sandbox_that_is_not_ready(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    await calls.stop(runtime, sandbox_id)
    with pytest.raises(FailedPrecondition, match="not ready"):
        await runtime.port_forward(v1.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[80]))
    with pytest.raises(NotFound):
        await runtime.port_forward(v1.PortForwardRequest(pod_sandbox_id="0" * 64, port=[80]))


async def test_an_engine_that_is_not_on_this_host_cannot_forward_and_says_so(
    hand: EngineHand, run_sandbox: RunSandbox
) -> None:
    sandbox_id = await run_sandbox()
    async with hand.distant() as distant:
        with pytest.raises(Unimplemented, match=r"only where the engine runs.*tcp://"):
            await distant.port_forward(v1.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[80]))


async def test_without_the_right_to_enter_the_network_no_url_is_given(
    runtime: Runtime, run_sandbox: RunSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(namespace: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(network_namespace, "_enter", refuse)
    with pytest.raises(FailedPrecondition, match="needs root"):
        await runtime.port_forward(v1.PortForwardRequest(pod_sandbox_id=await run_sandbox(), port=[80]))
