"""ExecSync on a real engine."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from cri.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.shared.kept_output import MESSAGE_ROOM
from runtimes.shared.processes import has_ended
from tests.host.images import BUSYBOX
from tests.runtimes import calls
from tests.runtimes.behaviour.hand import EngineHand, RunSandbox
from tests.runtimes.pods import WITHIN, until

SLEEP = ("sleep", "1000")


@pytest.fixture
async def container(runtime: Runtime, run_sandbox: RunSandbox) -> str:
    return await calls.start(runtime, await run_sandbox(), *SLEEP)


async def shell(runtime: Runtime, container_id: str, script: str, timeout: int = 0) -> v1.ExecSyncResponse:
    request = v1.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", script], timeout=timeout)
    return await runtime.exec_sync(request)


async def until_it_runs(container_id: str, arguments: str) -> None:
    await until(lambda: arguments in calls.commands(container_id), f"{arguments} runs")


async def in_a_second(runtime: Runtime, container_id: str, *scripts: str) -> v1.ExecSyncResponse:
    """The answer to the last of them, which has a second: more than once, for a busy host may need longer."""
    for _ in range(5):
        for script in scripts[:-1]:
            await shell(runtime, container_id, script)
        with contextlib.suppress(DeadlineExceeded):
            return await shell(runtime, container_id, scripts[-1], timeout=1)
    pytest.fail("it never ended in time")


async def test_both_streams_and_the_exit_code_come_back(runtime: Runtime, container: str) -> None:
    answer = await shell(runtime, container, "echo out; echo err >&2; exit 3")
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 3)


async def test_a_command_without_output_succeeds(runtime: Runtime, container: str) -> None:
    assert await shell(runtime, container, "true", timeout=30) == v1.ExecSyncResponse()


async def test_a_command_that_a_signal_ended_has_128_and_its_number(runtime: Runtime, container: str) -> None:
    assert (await shell(runtime, container, "kill -9 $$")).exit_code == 137


async def test_stdin_is_at_its_end(runtime: Runtime, container: str) -> None:
    assert (await shell(runtime, container, "cat; echo done", timeout=30)).stdout == b"done\n"


@pytest.mark.parametrize("code", [126, 127])
async def test_codes_by_which_a_shell_reports_a_missing_command_are_no_errors(
    runtime: Runtime, container: str, code: int
) -> None:
    answer = await shell(runtime, container, f"echo out; exit {code}")
    assert (answer.stdout, answer.exit_code) == (b"out\n", code)


@pytest.mark.parametrize("program", ["no-such-program", "/etc/passwd", "/etc"])
async def test_a_command_that_cannot_be_started_is_an_error_that_names_it(
    runtime: Runtime, container: str, program: str
) -> None:
    with pytest.raises(InvalidArgument, match=f"cannot be started.*{program}"):
        await runtime.exec_sync(v1.ExecSyncRequest(container_id=container, cmd=[program]))


async def test_past_the_timeout_the_command_and_its_children_are_dead(runtime: Runtime, container: str) -> None:
    script = "sleep 1001 & (sleep 1002 & exec sleep 1003) & sleep 1004"
    with pytest.raises(DeadlineExceeded, match=r"1 s and was killed"):
        await shell(runtime, container, script, timeout=1)
    assert calls.commands(container).keys() & {f"sleep 100{n}" for n in range(1, 5)} == set()


async def test_a_deadline_kills_nothing_else_in_the_container(runtime: Runtime, container: str) -> None:
    await shell(runtime, container, "sleep 1005 >/dev/null 2>&1 &")
    with pytest.raises(DeadlineExceeded):
        await shell(runtime, container, "sleep 1006", timeout=1)
    assert "sleep 1005" in calls.commands(container)
    assert (await calls.container_status(runtime, container)).state == v1.CONTAINER_RUNNING


async def test_cancelling_the_call_kills_the_command(runtime: Runtime, container: str) -> None:
    running = asyncio.create_task(shell(runtime, container, "sleep 1007; true"))
    await until_it_runs(container, "sleep 1007")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "sleep 1007" not in calls.commands(container)


async def test_cancelling_the_call_before_the_command_has_started_kills_it_as_well(
    runtime: Runtime, container: str
) -> None:
    running = [asyncio.create_task(shell(runtime, container, "sleep 1008; true")) for _ in range(5)]
    for number, task in enumerate(running):
        await asyncio.sleep(0.003 * number)
        task.cancel()
    await asyncio.wait(running)
    assert "sleep 1008" not in calls.commands(container)


async def test_each_stream_is_cut_and_the_command_still_ends_well(runtime: Runtime, container: str) -> None:
    answer = await shell(runtime, container, "head -c 20000000 /dev/zero; head -c 5 /dev/zero >&2", timeout=60)
    assert (len(answer.stdout), len(answer.stderr), answer.exit_code) == (MESSAGE_ROOM - 5, 5, 0)


async def test_a_background_child_that_holds_the_output_does_not_hold_the_answer(
    runtime: Runtime, container: str
) -> None:
    begun = time.monotonic()
    answer = await shell(runtime, container, "sleep 1009 & echo started")
    assert answer.stdout == b"started\n"
    assert time.monotonic() - begun < WITHIN
    await until_it_runs(container, "sleep 1009")


async def test_a_timeout_that_only_the_background_child_outlives_is_no_error(runtime: Runtime, container: str) -> None:
    answer = await in_a_second(runtime, container, "sleep 1010 & echo started; exit 4")
    assert (answer.stdout, answer.exit_code) == (b"started\n", 4)
    await until_it_runs(container, "sleep 1010")


async def test_a_command_that_ended_in_time_has_its_code_though_the_engine_is_late_to_tell(
    runtime: Runtime, container: str
) -> None:
    # Docker 20.10 sees no other end for two seconds after the first.
    assert (await in_a_second(runtime, container, "sleep 1016 &", "exit 5")).exit_code == 5


@pytest.mark.parametrize("pid", [v1.POD, v1.CONTAINER])
async def test_the_containers_end_is_the_commands_end(
    runtime: Runtime, run_sandbox: RunSandbox, pid: v1.NamespaceMode
) -> None:
    sandbox_id = await run_sandbox()
    security = v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(pid=pid))
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="c"),
        image=v1.ImageSpec(image=BUSYBOX),
        command=SLEEP,
        linux=v1.LinuxContainerConfig(security_context=security),
    )
    made = await runtime.create_container(v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config))
    await runtime.start_container(v1.StartContainerRequest(container_id=made.container_id))
    running = asyncio.create_task(shell(runtime, made.container_id, "echo begun; sleep 1011; true"))
    await until_it_runs(made.container_id, "sleep 1011")
    process = calls.commands(made.container_id)["sleep 1011"]
    await calls.kill(runtime, made.container_id)
    async with asyncio.timeout(WITHIN):
        answer = await running
    assert (answer.stdout, answer.exit_code) == (b"begun\n", 137)
    await until(lambda: has_ended(int(process.name)), "what the command started has ended as well")


async def test_a_container_that_does_not_run_is_a_failed_precondition(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    created = await calls.create(runtime, await run_sandbox(), *SLEEP)
    with pytest.raises(FailedPrecondition, match="created, not running"):
        await shell(runtime, created, "true")


async def test_a_paused_container_is_a_failed_precondition(runtime: Runtime, container: str, hand: EngineHand) -> None:
    hand.pause(container)
    with pytest.raises(FailedPrecondition, match="paused"):
        await shell(runtime, container, "true")


async def test_an_unknown_container_and_a_sandbox_are_not_found(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    for container_id in ("0" * 64, await run_sandbox()):
        with pytest.raises(NotFound):
            await shell(runtime, container_id, "true")


@pytest.mark.parametrize(
    "wrong",
    [
        v1.ExecSyncRequest(cmd=["true"]),
        v1.ExecSyncRequest(container_id="c"),
        v1.ExecSyncRequest(container_id="c", cmd=["true"], timeout=-1),
    ],
    ids=["container", "command", "timeout"],
)
async def test_a_request_that_makes_no_sense_is_refused(runtime: Runtime, wrong: v1.ExecSyncRequest) -> None:
    with pytest.raises(InvalidArgument):
        await runtime.exec_sync(wrong)


async def test_on_an_engine_elsewhere_the_command_is_killed_from_inside_with_its_children(
    hand: EngineHand, container: str
) -> None:
    async with hand.distant() as distant:
        await shell(distant, container, "sleep 1012 >/dev/null 2>&1 &")
        with pytest.raises(DeadlineExceeded):
            await shell(distant, container, "(sleep 1013 & exec setsid sleep 1014) & sleep 1015; true", timeout=1)
    ours = {f"sleep 101{n}" for n in range(2, 6)}
    await until(lambda: calls.commands(container).keys() & ours == {"sleep 1012"}, "the others are dead")


async def test_on_this_host_a_command_has_the_environment_of_its_container(runtime: Runtime, container: str) -> None:
    assert b"MINICRI" not in (await shell(runtime, container, "env")).stdout
