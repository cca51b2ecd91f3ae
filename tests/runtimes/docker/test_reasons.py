"""How containers end, and what is said of it, on a real engine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.docker import container_status
from runtimes.docker.runtime import DockerRuntime
from tests.host.engines import DockerEngine
from tests.runtimes.docker import calls
from tests.runtimes.docker.pods import Pod, opened, pod_between_runtimes


@pytest.fixture
async def pod(runtime: DockerRuntime, tmp_path: Path) -> AsyncIterator[Pod]:
    made = await Pod.make(runtime, tmp_path)
    yield made
    await made.aclose()


def state(**fields: object) -> dict[str, object]:
    return {"Status": "exited", "ExitCode": 0, "OOMKilled": False, "Error": "", **fields}


@pytest.mark.parametrize(
    ("known", "seen", "reason"),
    [
        (state(), True, "Completed"),
        (state(ExitCode=1), True, "Error"),
        (state(ExitCode=137), True, "Error"),
        (state(ExitCode=137, OOMKilled=True), True, "OOMKilled"),
        (state(ExitCode=0, OOMKilled=True), True, "Completed"),
        (state(ExitCode=1, OOMKilled=True), True, "Error"),
        (state(ExitCode=255), True, "Error"),
        (state(ExitCode=255), False, "Unknown"),
        (state(ExitCode=1), False, "Error"),
        (state(Status="created", ExitCode=127, Error="no such file"), True, "StartError"),
    ],
)
def test_the_reason_follows_from_how_it_ended(known: dict[str, object], seen: bool, reason: str) -> None:
    assert container_status.reason(known, seen=seen) == reason


@pytest.mark.parametrize(("code", "reason"), [(0, "Completed"), (3, "Error"), (255, "Error")])
async def test_a_program_that_ends_by_itself(pod: Pod, code: int, reason: str) -> None:
    container_id = await pod.run(f"exit {code}")
    status = await pod.exited(container_id)
    assert (status.exit_code, status.reason) == (code, reason)
    assert status.created_at <= status.started_at <= status.finished_at


async def test_a_killed_program_did_not_run_out_of_memory(pod: Pod) -> None:
    container_id = await pod.run("sleep 600")
    await pod.stop(container_id)
    status = await pod.status(container_id)
    assert (status.exit_code, status.reason) == (137, "Error")


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc", 126)])
async def test_a_program_that_cannot_be_run_has_ended_with_a_start_error(pod: Pod, command: str, code: int) -> None:
    container_id = await pod.create("", command=[command])
    with pytest.raises(FailedPrecondition, match=command):
        await pod.start(container_id)
    status = await pod.status(container_id)
    assert (status.state, status.exit_code, status.reason) == (v1.CONTAINER_EXITED, code, "StartError")
    assert command in status.message
    assert status.started_at == 0
    assert status.finished_at >= status.created_at
    assert await _listed_state(pod, container_id) == v1.CONTAINER_EXITED
    with pytest.raises(FailedPrecondition, match="start failed"):
        await pod.start(container_id)
    await pod.stop(container_id, timeout=1)
    await pod.remove(container_id)


async def test_a_container_starts_once(pod: Pod) -> None:
    container_id = await pod.run("sleep 600")
    with pytest.raises(FailedPrecondition, match="running, not created"):
        await pod.start(container_id)
    await pod.stop(container_id)
    with pytest.raises(FailedPrecondition, match="exited, not created"):
        await pod.start(container_id)


async def test_starts_at_once_are_one_start(pod: Pod) -> None:
    container_id = await pod.create("echo hello; sleep 600")
    await asyncio.gather(*(pod.start(container_id) for _ in range(3)))
    await pod.logged(b"hello")
    assert pod.texts() == [b"hello"]


async def test_a_start_that_is_given_up_keeps_its_log(pod: Pod) -> None:
    container_id = await pod.create("echo hello; sleep 600")
    start = asyncio.ensure_future(pod.start(container_id))
    await asyncio.sleep(0.05)
    start.cancel()
    await asyncio.wait({start})
    await pod.logged(b"hello")


async def test_members_outlive_their_sandboxs_process(
    pod: Pod, runtime: DockerRuntime, engine_client: docker.DockerClient
) -> None:
    own = v1.NamespaceOption(pid=v1.CONTAINER)  # the first process of a shared pid namespace takes all others along
    security = v1.LinuxContainerSecurityContext(namespace_options=own)
    container_id = await pod.run("sleep 600", linux=v1.LinuxContainerConfig(security_context=security))
    engine_client.api.kill(pod.sandbox_id)
    await asyncio.to_thread(engine_client.api.wait, pod.sandbox_id)
    assert (await calls.status(runtime, pod.sandbox_id)).state == v1.SANDBOX_NOTREADY
    assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING
    with pytest.raises(FailedPrecondition, match="not ready"):
        await pod.create("true", name="late")
    await calls.stop(runtime, pod.sandbox_id)
    assert (await pod.status(container_id)).state == v1.CONTAINER_EXITED


async def test_a_process_that_vanished_while_the_engine_was_away_is_unknown(
    private_docker_engine: DockerEngine, tmp_path: Path, root: None
) -> None:
    engine = private_docker_engine
    async with pod_between_runtimes(engine, tmp_path) as pod:
        async with opened(engine) as pod.runtime:
            seen = await pod.run("exit 255", name="seen")
            await pod.exited(seen)
            lost = await pod.run("sleep 600", name="lost")
            await asyncio.to_thread(_vanish, engine, lost)
            status = await pod.exited(lost)
            assert (status.exit_code, status.reason) == (255, "Unknown")
            assert (await pod.status(seen)).reason == "Error"
        async with opened(engine) as pod.runtime:
            assert (await pod.status(lost)).reason == "Unknown"


async def _listed_state(pod: Pod, container_id: str) -> v1.ContainerState:
    listed = await pod.runtime.list_containers(v1.ListContainersRequest(filter=v1.ContainerFilter(id=container_id)))
    return listed.containers[0].state


def _vanish(engine: DockerEngine, container_id: str) -> None:
    """Let a container's process and its keeper disappear while the engine is dead, as when the host loses power."""
    client = engine.client()
    try:
        pid = client.api.inspect_container(container_id)["State"]["Pid"]
    finally:
        client.close()
    keeper = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    engine.kill()
    os.kill(keeper, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    engine.start()
