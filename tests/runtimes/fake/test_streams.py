"""What is the fake's own behind the URLs of Exec, Attach and PortForward. The conformance suite tests the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.streaming.client import RemoteCommand, open_command
from cri.streaming.pipes import InboundStream
from cri.v1 import api_pb2 as v1
from runtimes.fake.container import Container
from tests.runtimes.fake.calls import Calls


@asynccontextmanager
async def session(calls: Calls, container: Container, *command: str, tty: bool = True) -> AsyncIterator[RemoteCommand]:
    """An exec session, or without a command an attached one, with input."""
    if command:
        exec_request = v1.ExecRequest(container_id=container.id, cmd=command, stdin=True, stdout=True, tty=tty)
        url = (await calls.runtime.exec(exec_request)).url
    else:
        attach_request = v1.AttachRequest(container_id=container.id, stdin=True, stdout=True, tty=tty)
        url = (await calls.runtime.attach(attach_request)).url
    async with open_command(url, stdin=True, stderr=False, tty=tty) as opened:
        yield opened


async def read_until(stream: InboundStream, text: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(60):
        while text not in seen:
            piece = await stream.read()
            assert piece, seen
            seen += piece
    return seen


async def test_a_terminal_shows_what_is_typed_and_ends_its_lines_as_terminals_do(calls: Calls) -> None:
    async with session(calls, await calls.run("sleep", "1000"), "cat") as terminal:
        await terminal.stdin.write(b"hello\r")
        assert await read_until(terminal.stdout, b"hello\r\nhello\r\n")
        await terminal.stdin.write(b"\x04")
        assert await terminal.wait() == 0


async def test_ctrl_c_interrupts_the_command(calls: Calls) -> None:
    async with session(calls, await calls.run("sleep", "1000"), "sleep", "1000") as terminal:
        await terminal.stdin.write(b"\x03")
        assert await terminal.wait() == 130


async def test_a_client_that_leaves_ends_its_command(calls: Calls) -> None:
    container = await calls.run("sleep", "1000")
    async with session(calls, container, "sh", "-c", "echo up; sleep 1000") as command:
        await read_until(command.stdout, b"up")
        started = container.guest.running()[1:]
    async with asyncio.timeout(60):
        assert [await process.wait() for process in started] == [137, 137]
    assert container.running


async def test_input_that_is_kept_for_one_client_ends_with_it(calls: Calls) -> None:
    container = await calls.run("cat", stdin=True, stdin_once=True)
    async with session(calls, container, tty=False) as attached:
        await attached.stdin.write(b"typed\n")
        await read_until(attached.stdout, b"typed")
    async with asyncio.timeout(60):
        await container.ended
    assert container.reason == "Completed"


async def test_input_outlives_a_client_otherwise(calls: Calls) -> None:
    container = await calls.run("cat", stdin=True)
    for word in (b"one\n", b"two\n"):
        async with session(calls, container, tty=False) as attached:
            await attached.stdin.write(word)
            await read_until(attached.stdout, word)
    assert container.running


async def test_an_attach_has_to_agree_about_the_terminal(calls: Calls) -> None:
    container = await calls.run("sleep", "1000", stdin=True)
    with pytest.raises(InvalidArgument, match="tty"):
        async with session(calls, container):
            pass


async def test_a_container_without_stdin_takes_none(calls: Calls) -> None:
    container = await calls.run("sleep", "1000")
    with pytest.raises(FailedPrecondition, match="stdin"):
        async with session(calls, container, tty=False):
            pass


async def test_a_stopped_sandbox_cannot_be_forwarded_to(calls: Calls) -> None:
    sandbox = await calls.sandbox()
    await calls.stop_sandbox(sandbox)
    with pytest.raises(FailedPrecondition):
        await calls.runtime.port_forward(v1.PortForwardRequest(pod_sandbox_id=sandbox, port=[80]))
