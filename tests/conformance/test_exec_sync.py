"""ExecSync: a command in a running container, its streams, its code, its time."""

from __future__ import annotations

import asyncio
import time

import pytest

from cri.errors import CRIError, DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import WITHIN, Kit, eventually, shell

LIMIT = 16 * 1024 * 1024
FRAME = 1024
"""Bytes that an answer needs beside the stream, so that the whole of it is a message of at most 16 MiB."""


async def gone(kit: Kit, container_id: str, words: str) -> None:
    """Wait until no process of the container has ``words`` in its command."""

    async def look() -> bool:
        return words not in await kit.said(container_id, "ps")

    await eventually(look, f"no process says {words!r}")


async def test_exit_code_and_both_streams_come_back(kit: Kit, running: str) -> None:
    """Exec: exit code and both streams come back."""
    answer = await kit.exec(running, *shell("echo out; echo err >&2; exit 5"))
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 5)


async def test_output_comes_back_byte_for_byte(kit: Kit, running: str) -> None:
    """Exec: both streams come back, as they are: no line ends, no encoding."""
    answer = await kit.exec(running, "printf", r"\000\377\r\n\033[0m")
    assert answer.stdout == b"\x00\xff\r\n\x1b[0m"


async def test_a_command_without_output_is_fine(kit: Kit, running: str) -> None:
    """Exec: exit code and both streams come back, empty ones too."""
    assert await kit.exec(running, "true") == v1.ExecSyncResponse()


async def test_a_timeout_of_zero_is_forever(kit: Kit, running: str) -> None:
    """Exec: ExecSync timeout 0 is forever."""
    assert (await kit.exec(running, *shell("sleep 1; echo done"), timeout=0)).stdout == b"done\n"


async def test_a_command_that_is_quick_enough_is_not_cut_off(kit: Kit, running: str) -> None:
    """Exec: the timeout is the longest wait, not the usual one."""
    begun = time.monotonic()
    assert (await kit.exec(running, "echo", "quick", timeout=600)).stdout == b"quick\n"
    assert time.monotonic() - begun < 60


async def test_a_command_that_takes_too_long_is_a_deadline_exceeded(kit: Kit, running: str) -> None:
    """Exec: on timeout the answer is DEADLINE_EXCEEDED."""
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await kit.exec(running, "sleep", "4321", timeout=1)
    assert 0.9 <= time.monotonic() - begun < 30


async def test_on_timeout_the_process_and_its_children_are_killed(kit: Kit, running: str) -> None:
    """Exec: on timeout the process (and its children) is killed."""
    with pytest.raises(DeadlineExceeded):
        await kit.exec(running, *shell("sleep 4322 & sleep 4322"), timeout=1)
    await gone(kit, running, "sleep 4322")


async def test_a_call_that_is_cancelled_kills_the_command(kit: Kit, running: str) -> None:
    """Exec: the process is killed when nobody waits for it; cancelling the call cancels the work."""
    calling = asyncio.ensure_future(kit.exec(running, *shell("sleep 4323")))

    async def look() -> bool:
        return "sleep 4323" in await kit.said(running, "ps")

    await eventually(look, "the command runs")
    calling.cancel()
    await asyncio.wait({calling})
    await gone(kit, running, "sleep 4323")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_each_stream_is_cut_at_16_mib(kit: Kit, running: str, stream: str) -> None:
    """Exec: each stream is cut at 16 MiB, the rest discarded, no error. gRPC: messages up to 16 MiB both ways."""
    redirect = "" if stream == "stdout" else " >&2"
    answer = await kit.exec(running, *shell(f"yes 0123456789abcde | head -c {LIMIT + 100000}{redirect}; exit 3"))
    assert LIMIT - FRAME <= len(getattr(answer, stream)) <= LIMIT
    assert answer.exit_code == 3


async def test_a_background_child_that_holds_the_pipe_does_not_hang_the_call(kit: Kit, sandbox: str) -> None:
    """Exec: a background child that holds the pipe must not hang the call."""
    container_id = await kit.run(sandbox)
    begun = time.monotonic()
    answer = await kit.exec(container_id, *shell("sleep 4324 & echo done"))
    assert time.monotonic() - begun < 60
    assert (answer.stdout, answer.exit_code) == (b"done\n", 0)


async def test_a_command_runs_as_the_container_does(kit: Kit, sandbox: str) -> None:
    """Exec: in the container means with its environment, directory and user."""
    security = v1.LinuxContainerSecurityContext(run_as_user=v1.Int64Value(value=1000))
    container_id = await kit.run(
        sandbox,
        envs=[v1.KeyValue(key="COLOUR", value=b"blue")],
        working_dir="/tmp",
        linux=v1.LinuxContainerConfig(security_context=security),
    )
    assert await kit.said(container_id, *shell("echo $COLOUR; pwd; id -u")) == "blue\n/tmp\n1000\n"


async def test_arguments_are_not_read_by_a_shell(kit: Kit, running: str) -> None:
    """Exec: the command is a list of words."""
    assert await kit.said(running, "echo", "$HOME", "a  b", "*") == "$HOME a  b *\n"


async def test_many_commands_can_run_at_once(kit: Kit, running: str) -> None:
    """Exec: each call has its own streams and code."""
    answers = await asyncio.gather(*(kit.exec(running, *shell(f"echo {n}; exit {n}")) for n in range(8)))
    assert [(int(answer.stdout), answer.exit_code) for answer in answers] == [(n, n) for n in range(8)]


async def test_a_command_that_does_not_exist_is_told(kit: Kit, running: str) -> None:
    """gRPC: codes are specific, never UNKNOWN; or the code a shell would answer with."""
    try:
        answer = await kit.exec(running, "/no/such/program")
    except CRIError as error:
        assert isinstance(error, InvalidArgument | FailedPrecondition | NotFound)  # noqa: PT017 - both are fine
        assert "/no/such/program" in str(error)  # noqa: PT017
    else:
        assert answer.exit_code in (126, 127)


async def test_an_empty_command_is_refused(kit: Kit, running: str) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgument):
        await kit.exec(running)


async def test_a_container_that_does_not_run_takes_no_command(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION."""
    created = await kit.create(sandbox)
    with pytest.raises(FailedPrecondition):
        await kit.exec(created, "true")


async def test_an_exited_container_takes_no_command(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION."""
    exited = await kit.run(sandbox, "true")
    await kit.exited(exited)
    with pytest.raises(FailedPrecondition):
        await kit.exec(exited, "true")


async def test_an_unknown_container_is_not_found(kit: Kit) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await kit.exec("0" * 64, "true")


async def test_a_command_ends_with_its_container(kit: Kit, sandbox: str) -> None:
    """Stop: SIGKILL of the container ends what runs in it, and the call that waits for it."""
    container_id = await kit.run(sandbox)
    calling = asyncio.ensure_future(kit.exec(container_id, *shell("echo begun > /tmp/begun; sleep 4325")))

    async def look() -> bool:
        return (await kit.exec(container_id, "cat", "/tmp/begun")).exit_code == 0

    await eventually(look, "the command runs")
    await kit.stop(container_id)
    async with asyncio.timeout(WITHIN):
        (answer,) = await asyncio.gather(calling, return_exceptions=True)
    assert isinstance(answer, CRIError) or (isinstance(answer, v1.ExecSyncResponse) and answer.exit_code != 0)
