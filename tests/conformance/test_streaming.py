"""Exec, Attach and PortForward: the URLs, and what goes through them."""

from __future__ import annotations

import asyncio
from typing import Literal
from urllib.parse import urlsplit

import pytest

from cri.errors import CRIError, FailedPrecondition, InvalidArgument, NotFound
from cri.runtime import Runtime
from cri.streaming.client import forward_ports, open_command, run_command
from cri.streaming.pipes import TerminalSize
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import WITHIN, Kit, eventually, free_port, shell
from tests.conformance.web import HOST_NETWORK, MEMBER_OF_HOST, httpd, page_at, page_now

Transport = Literal["websocket", "spdy"]

pytestmark = pytest.mark.optional("streaming")
both_transports = pytest.mark.parametrize("transport", ["websocket", "spdy"])


async def exec_url(runtime: Runtime, container_id: str, *command: str, **flags: bool) -> str:
    wanted = {"stdout": True, "stderr": not flags.get("tty", False), **flags}
    request = v1.ExecRequest(container_id=container_id, cmd=command, **wanted)
    return (await runtime.exec(request)).url


async def attach_url(runtime: Runtime, container_id: str, **flags: bool) -> str:
    wanted = {"stdout": True, "stderr": not flags.get("tty", False), **flags}
    return (await runtime.attach(v1.AttachRequest(container_id=container_id, **wanted))).url


async def forward_url(runtime: Runtime, sandbox_id: str, *ports: int) -> str:
    request = v1.PortForwardRequest(pod_sandbox_id=sandbox_id, port=ports)
    return (await runtime.port_forward(request)).url


async def test_a_url_is_absolute(runtime: Runtime, running: str) -> None:
    """Streaming: Exec/Attach/PortForward return a URL."""
    url = urlsplit(await exec_url(runtime, running, "true"))
    assert url.scheme in ("http", "https")
    assert url.port


async def test_each_url_is_another(runtime: Runtime, running: str) -> None:
    """Streaming: with a single-use token."""
    assert len({await exec_url(runtime, running, "true") for _ in range(5)}) == 5


async def test_a_url_works_once(runtime: Runtime, running: str) -> None:
    """Streaming: single-use token."""
    url = await exec_url(runtime, running, "true", stderr=False)
    async with asyncio.timeout(WITHIN):
        assert await run_command(url, stdout=_discard) == 0
        with pytest.raises(NotFound):
            await run_command(url, stdout=_discard)


async def _discard(data: bytes) -> None:
    return


async def test_a_url_nobody_made_leads_nowhere(runtime: Runtime, running: str) -> None:
    """Streaming: with a token: what cannot be guessed."""
    url = await exec_url(runtime, running, "true")
    with pytest.raises(CRIError):
        await run_command(url[:-4] + "AAAA", stdout=_discard)


@both_transports
async def test_a_commands_streams_and_code_come_back(runtime: Runtime, running: str, transport: Transport) -> None:
    """Streaming: clients use SPDY/3.1 by default or WebSocket."""
    url = await exec_url(runtime, running, *shell("echo out; echo err >&2; exit 6"))
    async with asyncio.timeout(WITHIN), open_command(url, transport=transport) as command:
        out, err = await asyncio.gather(command.stdout.read_all(100), command.stderr.read_all(100))
        assert (out, err, await command.wait()) == (b"out\n", b"err\n", 6)


@both_transports
async def test_a_command_reads_what_it_is_sent(runtime: Runtime, running: str, transport: Transport) -> None:
    """Streaming: stdin, and its end: a command that reads to the end of its input sees it."""
    url = await exec_url(runtime, running, "cat", stdin=True)
    async with asyncio.timeout(WITHIN), open_command(url, transport=transport, stdin=True) as command:
        await command.stdin.write(b"one\n")
        assert await command.stdout.read(100) == b"one\n"
        await command.stdin.write(b"two\n")
        if not command.can_end_stdin:
            return
        await command.stdin.close()
        assert (await command.stdout.read_all(100), await command.wait()) == (b"two\n", 0)


@both_transports
async def test_much_output_comes_whole(runtime: Runtime, running: str, transport: Transport) -> None:
    """Streaming: nothing is lost between engine and client, whoever is slower."""
    url = await exec_url(runtime, running, *shell("yes 0123456789abcde | head -c 3000000"))
    async with asyncio.timeout(WITHIN), open_command(url, transport=transport) as command:
        assert len(await command.stdout.read_all(4_000_000)) == 3_000_000
        assert await command.wait() == 0


@both_transports
async def test_a_terminal_has_one_stream(runtime: Runtime, running: str, transport: Transport) -> None:
    """Streaming: tty means no stderr."""
    url = await exec_url(runtime, running, *shell("echo out; echo err >&2; tty"), tty=True)
    async with asyncio.timeout(WITHIN), open_command(url, transport=transport, tty=True, stderr=False) as command:
        lines = (await command.stdout.read_all(1000)).decode().split()
        assert lines[:2] == ["out", "err"]
        assert lines[2].startswith("/dev/")


@both_transports
async def test_a_terminal_is_resized(runtime: Runtime, running: str, transport: Transport) -> None:
    """Streaming: resize works."""
    script = "until stty size 2>&1 | grep '33 91'; do sleep 0.05; done"
    url = await exec_url(runtime, running, *shell(script), tty=True, stdin=True)
    opened = open_command(url, transport=transport, tty=True, stdin=True, stderr=False)
    async with asyncio.timeout(WITHIN), opened as command:
        await command.resize(TerminalSize(width=91, height=33))
        assert b"33 91" in await command.stdout.read_all(1000)


async def test_tty_and_stderr_exclude_each_other(runtime: Runtime, running: str) -> None:
    """Streaming: tty means no stderr."""
    with pytest.raises(InvalidArgument):
        await runtime.exec(v1.ExecRequest(container_id=running, cmd=["true"], tty=True, stdout=True, stderr=True))


async def test_a_command_without_streams_is_refused(runtime: Runtime, running: str) -> None:
    """Streaming: CRI: one of stdin, stdout and stderr must be set."""
    with pytest.raises(InvalidArgument):
        await runtime.exec(v1.ExecRequest(container_id=running, cmd=["true"]))


async def test_a_client_that_hangs_up_ends_the_command(runtime: Runtime, kit: Kit, running: str) -> None:
    """Exec: the process is killed when nobody waits for it."""
    url = await exec_url(runtime, running, *shell("echo begun; sleep 4326"))
    async with asyncio.timeout(WITHIN), open_command(url) as command:
        assert await command.stdout.read(100) == b"begun\n"

    async def look() -> bool:
        return "sleep 4326" not in await kit.said(running, "ps")

    await eventually(look, "the command is gone")


async def test_a_container_that_does_not_run_gives_no_url(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION."""
    created = await kit.create(sandbox)
    with pytest.raises(FailedPrecondition):
        await exec_url(runtime, created, "true")
    with pytest.raises(FailedPrecondition):
        await attach_url(runtime, created)


async def test_what_is_unknown_gives_no_url(runtime: Runtime) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    for ask in (exec_url(runtime, "0" * 64, "true"), attach_url(runtime, "0" * 64), forward_url(runtime, "0" * 64, 80)):
        with pytest.raises(NotFound):
            await ask


@both_transports
async def test_attach_joins_the_streams_of_a_container(
    runtime: Runtime, kit: Kit, sandbox: str, transport: Transport
) -> None:
    """Streaming: Attach: stdin goes in, both outputs come out."""
    container_id = await kit.run(sandbox, *shell("while read l; do echo out $l; echo err $l >&2; done"), stdin=True)
    url = await attach_url(runtime, container_id, stdin=True)
    async with asyncio.timeout(WITHIN), open_command(url, transport=transport, stdin=True) as command:
        await command.stdin.write(b"hello\n")
        out, err = await asyncio.gather(command.stdout.read(100), command.stderr.read(100))
        assert (out, err) == (b"out hello\n", b"err hello\n")


async def test_a_container_goes_on_after_its_guest_has_left(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Streaming: Attach only looks on: the container's input stays open unless stdin_once was asked for."""
    container_id = await kit.run(sandbox, *shell("while read line; do echo got $line; done"), stdin=True)
    for word in (b"one", b"two"):
        url = await attach_url(runtime, container_id, stdin=True)
        async with asyncio.timeout(WITHIN), open_command(url, stdin=True) as command:
            await command.stdin.write(word + b"\n")
            assert await command.stdout.read(100) == b"got " + word + b"\n"
    assert (await kit.status(container_id)).state == v1.CONTAINER_RUNNING


@both_transports
async def test_a_guest_that_ends_its_input_is_seen_off(
    runtime: Runtime, kit: Kit, sandbox: str, transport: Transport
) -> None:
    """Streaming: Attach without stdin_once ends with the client's input, and the container runs on."""
    container_id = await kit.run(sandbox, *shell("while read line; do echo got $line; done"), stdin=True)
    url = await attach_url(runtime, container_id, stdin=True)
    async with asyncio.timeout(WITHIN), open_command(url, transport=transport, stdin=True) as command:
        await command.stdin.write(b"one\n")
        assert await command.stdout.read(100) == b"got one\n"
        await command.stdin.close()
        assert await command.stdout.read_all(100) == b""
    assert (await kit.status(container_id)).state == v1.CONTAINER_RUNNING


async def test_input_that_is_open_once_lets_its_guest_read_on(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Streaming: stdin_once: what the container says after the end of its input is still told."""
    container_id = await kit.run(sandbox, *shell("cat; echo over"), stdin=True, stdin_once=True)
    url = await attach_url(runtime, container_id, stdin=True)
    async with asyncio.timeout(WITHIN), open_command(url, stdin=True) as command:
        await command.stdin.write(b"hello\n")
        await command.stdin.close()
        assert await command.stdout.read_all(100) == b"hello\nover\n"


async def test_input_that_is_open_once_ends_with_the_first_guest(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Streaming: stdin_once: the container sees the end of its input when its first client leaves."""
    container_id = await kit.run(sandbox, *shell("cat; echo over"), stdin=True, stdin_once=True)
    url = await attach_url(runtime, container_id, stdin=True)
    async with asyncio.timeout(WITHIN), open_command(url, stdin=True) as command:
        await command.stdin.write(b"hello\n")
        assert await command.stdout.read(100) == b"hello\n"
    assert (await kit.exited(container_id)).exit_code == 0


async def test_what_a_guest_reads_is_logged_too(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Logs: lines are not lost, whoever reads along."""
    container_id = await kit.run(sandbox, *shell("while read line; do echo got $line; done"), stdin=True)
    url = await attach_url(runtime, container_id, stdin=True)
    async with asyncio.timeout(WITHIN), open_command(url, stdin=True) as command:
        await command.stdin.write(b"one\n")
        assert await command.stdout.read(100) == b"got one\n"
    await kit.logged(container_id, b"got one")


async def test_an_attached_client_is_told_the_end(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Streaming: Attach ends when the container does."""
    container_id = await kit.run(sandbox, *shell("read line; exit 3"), stdin=True)
    url = await attach_url(runtime, container_id, stdin=True)
    async with asyncio.timeout(WITHIN), open_command(url, stdin=True) as command:
        await command.stdin.write(b"go\n")
        assert await command.stdout.read_all(100) == b""


async def listens(runtime: Runtime, sandbox_id: str, port: int) -> None:
    """Return once a port of a sandbox is served. Each look is a session of its own: in one in which it could once not
    connect, containerd may leave the next connections hanging."""

    async def look() -> bytes:
        url = await forward_url(runtime, sandbox_id, port)
        async with forward_ports(url, [(0, port)], on_error=lambda port, message: None) as forwarder:
            return await page_now("127.0.0.1", forwarder.local_ports[0])

    await eventually(look, f"port {port} of the sandbox is served")


async def test_a_forwarded_port_reaches_the_sandbox(runtime: Runtime, kit: Kit) -> None:
    """Streaming: PortForward."""
    sandbox_id = await kit.sandbox()
    await kit.run(sandbox_id, *httpd("forwarded", "127.0.0.1:8080"))
    await listens(runtime, sandbox_id, 8080)
    url = await forward_url(runtime, sandbox_id, 8080)
    async with asyncio.timeout(WITHIN), forward_ports(url, [(0, 8080)]) as forwarder:
        for _ in range(2):
            assert (await page_at("127.0.0.1", forwarder.local_ports[0])).endswith(b"forwarded\n")


async def test_a_forwarded_port_reaches_the_hosts_network(runtime: Runtime, kit: Kit) -> None:
    """Streaming: port-forward works in host-network pods too."""
    port = free_port()
    sandbox_id = await kit.sandbox(linux=HOST_NETWORK)
    await kit.run(sandbox_id, *httpd("host", f"127.0.0.1:{port}"), linux=MEMBER_OF_HOST)
    await listens(runtime, sandbox_id, port)
    url = await forward_url(runtime, sandbox_id, port)
    async with asyncio.timeout(WITHIN), forward_ports(url, [(0, port)]) as forwarder:
        assert (await page_at("127.0.0.1", forwarder.local_ports[0])).endswith(b"host\n")


async def test_a_port_where_nobody_listens_is_told(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Streaming: PortForward: the error stream says why."""
    told: list[int] = []
    url = await forward_url(runtime, sandbox, 9)
    forwarding = forward_ports(url, [(0, 9)], on_error=lambda port, message: told.append(port))
    async with asyncio.timeout(WITHIN), forwarding as forwarder:
        reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.local_ports[0])
        assert await reader.read(100) == b""
        writer.close()

        async def look() -> bool:
            return told == [9]

        await eventually(look, "the failure is told")


async def test_a_stopped_sandbox_forwards_nothing(runtime: Runtime, kit: Kit) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION."""
    sandbox_id = await kit.sandbox()
    await kit.stop_sandbox(sandbox_id)
    with pytest.raises(FailedPrecondition):
        await forward_url(runtime, sandbox_id, 80)
