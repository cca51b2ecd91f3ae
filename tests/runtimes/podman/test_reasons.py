"""What is said of how a container ended, on Podman."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.podman.runtime import PodmanRuntime
from tests.host import podmans
from tests.host.podmans import PodmanEngine
from tests.runtimes import calls
from tests.runtimes.podman.conftest import opened
from tests.runtimes.pods import Pod, until

HOG = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M"]
NOBODY = 1 << 30
"""No process has so high a number."""

LIMITED = v1.LinuxContainerConfig(resources=v1.LinuxContainerResources(memory_limit_in_bytes=20 << 20))


@pytest.mark.parametrize(("script", "code", "reason"), [("exit 0", 0, "Completed"), ("exit 3", 3, "Error"),
                                                        ("exit 255", 255, "Error")])  # fmt: skip
async def test_the_exit_code_tells_the_reason(pod: Pod, script: str, code: int, reason: str) -> None:
    status = await pod.exited(await pod.run(script))
    assert (status.exit_code, status.reason) == (code, reason)
    assert status.created_at <= status.started_at <= status.finished_at


async def test_a_program_that_runs_out_of_memory(pod: Pod) -> None:
    status = await pod.exited(await pod.run("", command=HOG, linux=LIMITED))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


async def test_a_killed_program_did_not_run_out_of_memory(pod: Pod) -> None:
    container_id = await pod.run("sleep 600")
    await pod.stop(container_id)
    status = await pod.status(container_id)
    assert (status.exit_code, status.reason) == (137, "Error")


@pytest.mark.parametrize(
    ("command", "code", "words"), [("no-such-program", 127, "no-such-program"), ("/etc", 126, "not permitted")]
)
async def test_a_program_that_cannot_be_run_has_ended_with_a_start_error(
    pod: Pod, command: str, code: int, words: str
) -> None:
    container_id = await pod.create("", command=[command])
    with pytest.raises(FailedPrecondition, match=f"cannot start.*{words}"):
        await pod.start(container_id)
    status = await pod.status(container_id)
    assert (status.state, status.exit_code, status.reason) == (v1.CONTAINER_EXITED, code, "StartError")
    assert words in status.message
    assert status.started_at == 0
    assert status.finished_at >= status.created_at
    (listed,) = (await pod.runtime.list_containers(v1.ListContainersRequest())).containers
    assert listed.state == v1.CONTAINER_EXITED
    with pytest.raises(FailedPrecondition, match="start failed"):
        await pod.start(container_id)
    await pod.stop(container_id, timeout=1)
    await pod.remove(container_id)


async def test_a_container_starts_once(pod: Pod) -> None:
    container_id = await pod.run("sleep 600")
    with pytest.raises(FailedPrecondition, match="running, not created"):
        await pod.start(container_id)
    await pod.stop(container_id)
    with pytest.raises(FailedPrecondition, match="not created"):
        await pod.start(container_id)


async def test_starts_at_once_are_one_start(pod: Pod) -> None:
    container_id = await pod.create("echo hello; sleep 600")
    await asyncio.gather(*(pod.start(container_id) for _ in range(3)))
    await pod.logged(b"hello")
    assert pod.texts() == [b"hello"]


async def test_the_end_of_the_first_process_is_that_of_all(pod: Pod) -> None:
    container_id = await pod.run("sleep 1031 & sleep 1032")
    both = {"sleep 1031", "sleep 1032"}
    await until(lambda: calls.commands(container_id).keys() >= both, "both run")
    await calls.kill(pod.runtime, container_id)
    await pod.exited(container_id)
    await until(lambda: not calls.commands(container_id), "all have ended")


async def test_a_container_that_ended_while_nobody_looked_has_its_code(
    podman_engine: PodmanEngine, tmp_path: Path
) -> None:
    async with opened(podman_engine) as runtime:
        pod = await Pod.make(runtime, tmp_path)
        container_id = await pod.run("sleep 0.5; exit 4")
    async with opened(podman_engine) as pod.runtime:
        status = await pod.exited(container_id)
        assert (status.exit_code, status.reason) == (4, "Error")
        await pod.aclose()


async def test_an_end_that_the_engine_tells_first_is_looked_into_before_it_is_told(
    pod: Pod, runtime: PodmanRuntime
) -> None:
    container_id = await pod.run("sleep 600")
    watched = runtime._ends._watched[container_id]
    asyncio.get_running_loop().remove_reader(watched.handle)  # as if the loop had not come to it yet
    signal.pidfd_send_signal(watched.handle, signal.SIGKILL)
    await asyncio.to_thread(select.select, [watched.handle], [], [])
    await pod.exited(container_id)
    assert runtime._ends.has_ended(container_id)


async def test_a_new_runtime_knows_of_a_failed_start_and_of_a_lack_of_memory(
    podman_engine: PodmanEngine, tmp_path: Path
) -> None:
    async with opened(podman_engine) as runtime:
        pod = await Pod.make(runtime, tmp_path)
        unable = await pod.create("", command=["no-such-program"])
        with pytest.raises(FailedPrecondition):
            await pod.start(unable)
        hungry = await pod.run("", command=HOG, linux=LIMITED, name="hungry")
        before = [await pod.status(unable), await pod.exited(hungry)]
    async with opened(podman_engine) as pod.runtime:
        assert [await pod.status(each) for each in (unable, hungry)] == before
        assert [status.reason for status in before] == ["StartError", "OOMKilled"]
        await pod.aclose()


async def test_an_end_that_came_while_the_engine_answered_is_no_vanishing(
    pod: Pod, runtime: PodmanRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    container_id = await pod.run("exit 3")
    await pod.exited(container_id)
    inspect, before_the_end = runtime._engine.inspect, [{"Status": "running", "Running": True, "ExitCode": 0}]

    async def held_up(kind: str, name: str) -> dict[str, Any] | None:
        """The first answer is from when it ran; by now neither it nor its monitor is there."""
        found = await inspect(kind, name)
        if found is not None and before_the_end:
            found["State"] |= {**before_the_end.pop(), "Pid": NOBODY, "ConmonPid": NOBODY}
        return found

    monkeypatch.setattr(runtime._engine, "inspect", held_up)
    status = await pod.status(container_id)
    assert (status.exit_code, status.reason) == (3, "Error")


@pytest.mark.parametrize(("word", "vanished"), [("running", True), ("stopping", True), ("stopped", False)])
async def test_one_vanished_also_where_the_engine_was_killed_as_it_stopped_it(
    runtime: PodmanRuntime, word: str, vanished: bool
) -> None:
    assert runtime._ends.has_vanished(word, NOBODY, NOBODY) is vanished


async def test_one_whose_process_and_monitor_vanished_is_unknown(pod: Pod, podman_engine: PodmanEngine) -> None:
    container_id = await pod.run("sleep 600")
    found = podmans.call(podman_engine.address, "GET", f"/containers/{container_id}/json")["State"]
    os.kill(found["ConmonPid"], signal.SIGKILL)
    os.kill(found["Pid"], signal.SIGKILL)
    status = await pod.exited(container_id)
    assert (status.exit_code, status.reason) == (255, "Unknown")
    assert status.finished_at >= status.started_at
    (listed,) = (await pod.runtime.list_containers(v1.ListContainersRequest())).containers
    assert listed.state == v1.CONTAINER_EXITED
    await pod.stop(container_id, timeout=1)
    await pod.remove(container_id)
