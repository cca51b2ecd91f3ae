"""Exec on a real engine, through the URL, with both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest

from cri.errors import FailedPrecondition, Internal, InvalidArgument, NotFound
from cri.runtime import Runtime
from cri.streaming import TerminalSize
from cri.streaming.client import open_command, run_command
from cri.v1 import api_pb2 as v1
from tests.runtimes import calls
from tests.runtimes.behaviour.hand import EngineHand, RunSandbox
from tests.runtimes.pods import until

Transport = Literal["websocket", "spdy"]
TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "spdy"])


@pytest.fixture
async def container(runtime: Runtime, run_sandbox: RunSandbox) -> str:
    return await calls.start(runtime, await run_sandbox(), "sleep", "1000")


async def url_for(runtime: Runtime, container_id: str, *command: str, **flags: bool) -> str:
    wanted = {"stdout": True, "stderr": not flags.get("tty"), **flags}
    return (await runtime.exec(v1.ExecRequest(container_id=container_id, cmd=command, **wanted))).url


async def sent(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


class Written:
    """A client's output, and a way to wait for it."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def __call__(self, data: bytes) -> None:
        self.data += data


@TRANSPORTS
async def test_both_streams_and_the_exit_code_come_back(runtime: Runtime, container: str, transport: Transport) -> None:
    out, err = Written(), Written()
    url = await url_for(runtime, container, "sh", "-c", "echo out; echo err >&2; exit 200")
    assert await run_command(url, stdout=out, stderr=err, transport=transport) == 200
    assert bytes(out.data) == b"out\n"
    assert bytes(err.data) == b"err\n"


@TRANSPORTS
async def test_the_end_of_stdin_reaches_the_command(runtime: Runtime, container: str, transport: Transport) -> None:
    out, text = Written(), [bytes([n % 251]) * 70_000 for n in range(20)]
    url = await url_for(runtime, container, "cat", stdin=True)
    assert await run_command(url, stdin=sent(*text), stdout=out, stderr=Written(), transport=transport) == 0
    assert out.data == b"".join(text)


async def test_input_that_the_command_does_not_read_is_no_error(runtime: Runtime, container: str) -> None:
    url = await url_for(runtime, container, "true", stdin=True)
    assert await run_command(url, stdin=sent(b"x" * 500_000), stdout=Written(), stderr=Written()) == 0


async def test_a_terminal_has_one_output_and_the_size_that_the_client_tells(runtime: Runtime, container: str) -> None:
    url = await url_for(runtime, container, "sh", tty=True, stdin=True)
    async with open_command(url, stdin=True, stdout=True, stderr=False, tty=True, transport="spdy") as command:
        await command.resize(TerminalSize(width=123, height=45))
        await command.stdin.write(b"tty; until stty size | grep '45 123'; do :; done; echo e$((1+1)) >&2\n")
        seen = await calls.read_until(command.stdout, rb"e2")
        assert b"/dev/pts/" in seen
        await command.resize(TerminalSize(width=77, height=11))
        await command.stdin.write(b"until stty size | grep '11 77'; do :; done; exit 5\n")
        await calls.read_until(command.stdout, rb"\n11 77")
        assert await command.wait() == 5


async def test_the_engines_own_keys_to_detach_are_left_to_the_command(runtime: Runtime, container: str) -> None:
    url = await url_for(runtime, container, "sh", "-c", "stty raw -echo; echo ready; head -c 2 | od -An -tx1", tty=True,
                        stdin=True)  # fmt: skip
    async with open_command(url, stdin=True, stdout=True, stderr=False, tty=True) as command:
        await calls.read_until(command.stdout, rb"ready")
        await command.stdin.write(b"\x10\x11")  # ctrl-p ctrl-q
        await calls.read_until(command.stdout, rb"10 11")
        assert await command.wait() == 0


async def test_a_terminal_stays_when_the_clients_input_ends(runtime: Runtime, container: str) -> None:
    url = await url_for(runtime, container, "sh", "-c", "echo ready; sleep 1; exit 7", tty=True, stdin=True)
    async with open_command(url, stdin=True, stdout=True, stderr=False, tty=True, transport="spdy") as command:
        await command.stdin.close()
        await calls.read_until(command.stdout, rb"ready")
        assert await command.wait() == 7


@pytest.mark.parametrize("tty", [False, True])
async def test_a_command_that_cannot_be_started_is_told_in_the_engines_words(
    runtime: Runtime, container: str, tty: bool
) -> None:
    out = Written()
    url = await url_for(runtime, container, "no-such-program", tty=tty)
    with pytest.raises(Internal, match=r"cannot be started.*no-such-program"):
        await run_command(url, stdout=out, stderr=None if tty else Written(), tty=tty)
    assert out.data == b""


async def test_a_client_that_leaves_ends_the_command(runtime: Runtime, container: str) -> None:
    url = await url_for(runtime, container, "sh", "-c", "sleep 1021 & echo ready; sleep 1022")
    async with open_command(url, stdout=True, stderr=True) as command:
        await calls.read_until(command.stdout, rb"ready")
    await until(lambda: not calls.commands(container).keys() & {"sleep 1021", "sleep 1022"}, "both are dead")
    assert (await calls.container_status(runtime, container)).state == v1.CONTAINER_RUNNING


async def test_closing_the_runtime_ends_the_commands(runtime: Runtime, container: str, hand: EngineHand) -> None:
    async with hand.opened() as second:
        url = await url_for(second, container, "sh", "-c", "echo ready; sleep 1023")
        async with open_command(url, stdout=True, stderr=True) as command:
            await calls.read_until(command.stdout, rb"ready")
            await second.aclose()
            assert "sleep 1023" not in calls.commands(container)


async def test_no_url_is_given_for_a_container_that_does_not_run(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    created = await calls.create(runtime, await run_sandbox(), "sleep", "1000")
    with pytest.raises(FailedPrecondition, match="created, not running"):
        await url_for(runtime, created, "true")
    with pytest.raises(NotFound):
        await url_for(runtime, "0" * 64, "true")


async def test_a_request_without_a_command_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InvalidArgument, match="cmd"):
        await url_for(runtime, "c")
