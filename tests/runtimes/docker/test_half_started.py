"""Sandboxes that an engine which died has lost the half of: they make way for new ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cri.errors import CRIError, FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.docker.engine_errors import for_status, sandbox_is_lost
from runtimes.docker.runtime import DockerRuntime
from runtimes.shared import processes
from tests.host.dockerd import PrivateDocker
from tests.host.engines import DockerEngine, docker_folder, lose_shm
from tests.runtimes.docker import calls
from tests.runtimes.docker.examples import linux, sandbox
from tests.runtimes.docker.pods import opened, until

NEVER = "0001-01-01T00:00:00Z"
NETWORKS = [v1.POD, v1.NODE]


def forget_the_start(folder: Path, *, process: bool = False) -> None:
    """Make the engine's record of a container what it is after an engine that died as it started it: of all that was
    made for it nothing is known, and of the ``process`` neither unless containerd told again."""
    path = folder / "config.v2.json"
    record: dict[str, Any] = json.loads(path.read_text())
    record["ShmPath"] = ""
    record["State"] |= {"Running": not process, "Pid": 0 if process else record["State"]["Pid"], "StartedAt": NEVER}
    record["HasBeenStartedBefore"] = False
    record["NetworkSettings"] |= {"SandboxID": "", "SandboxKey": ""}
    for network in (record["NetworkSettings"]["Networks"] or {}).values():
        network |= {"EndpointID": "", "IPAddress": "", "Gateway": "", "MacAddress": ""}
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("network", NETWORKS, ids=["pod", "node"])
async def test_a_sandbox_that_was_started_half_is_not_ready_and_makes_way(
    live_restore_docker_engine: PrivateDocker, network: v1.NamespaceMode
) -> None:
    engine = live_restore_docker_engine
    config = sandbox("web", linux=linux(namespace_options=v1.NamespaceOption(network=network)))
    request = v1.RunPodSandboxRequest(config=config)
    async with opened(engine) as runtime:
        half = (await runtime.run_pod_sandbox(request)).pod_sandbox_id
        folder = docker_folder(engine, half)
    await asyncio.to_thread(engine.kill)
    forget_the_start(folder)
    await asyncio.to_thread(engine.start)
    async with opened(engine) as runtime:
        status = await calls.status(runtime, half)
        assert (status.state, status.network.ip) == (v1.SANDBOX_NOTREADY, "")
        (item,) = (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items
        assert item.state == v1.SANDBOX_NOTREADY
        with pytest.raises(FailedPrecondition, match="not ready"):
            await calls.create(runtime, half, "true")
        whole = (await runtime.run_pod_sandbox(request)).pod_sandbox_id
        assert await calls.listed(runtime) == [whole]
        await calls.start(runtime, whole, "sleep", "600")
        await calls.remove(runtime, whole)


async def start_again(runtime: DockerRuntime, container_id: str) -> None:
    with pytest.raises(CRIError, match="already in use"):
        await runtime.start_container(v1.StartContainerRequest(container_id=container_id))


async def remove(runtime: DockerRuntime, container_id: str) -> None:
    await runtime.remove_container(v1.RemoveContainerRequest(container_id=container_id))


async def remove_sandbox(runtime: DockerRuntime, container_id: str) -> None:
    status = await runtime.list_containers(v1.ListContainersRequest(filter=v1.ContainerFilter(id=container_id)))
    await calls.remove(runtime, status.containers[0].pod_sandbox_id)


@pytest.mark.parametrize("call", [start_again, remove, remove_sandbox])
async def test_the_process_of_a_start_that_was_forgotten_does_not_live_on(
    live_restore_docker_engine: PrivateDocker, call: Callable[[DockerRuntime, str], Awaitable[None]]
) -> None:
    engine = live_restore_docker_engine
    async with opened(engine) as runtime:
        request = v1.RunPodSandboxRequest(config=sandbox("web"))
        sandbox_id = (await runtime.run_pod_sandbox(request)).pod_sandbox_id
        container_id = await calls.start(runtime, sandbox_id, "sleep", "600")
        (pid,) = processes.of_container(container_id)
        folder = docker_folder(engine, container_id)
    await asyncio.to_thread(engine.kill)
    forget_the_start(folder, process=True)
    await asyncio.to_thread(engine.start)
    async with opened(engine) as runtime:
        assert (await calls.container_status(runtime, container_id)).state == v1.CONTAINER_CREATED
        assert processes.of_container(container_id) == [pid]
        await call(runtime, container_id)
        await until(lambda: not processes.of_container(container_id), "its end")
        await calls.remove(runtime, sandbox_id)


async def test_a_sandbox_that_takes_no_container_any_more_is_stopped(private_docker_engine: DockerEngine) -> None:
    async with opened(private_docker_engine) as runtime:
        request = v1.RunPodSandboxRequest(config=sandbox("web"))
        sandbox_id = (await runtime.run_pod_sandbox(request)).pod_sandbox_id
        container_id = await calls.create(runtime, sandbox_id, "sleep", "600")
        lose_shm(private_docker_engine, sandbox_id)
        with pytest.raises(FailedPrecondition, match=r"was stopped.*non-shareable IPC"):
            await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
        assert (await calls.status(runtime, sandbox_id)).state == v1.SANDBOX_NOTREADY
        await calls.remove(runtime, sandbox_id)


NAMESPACE = "unable to create new parent process: namespace path: lstat /proc/32767/ns/{}: no such file or directory"


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ("can't join IPC of container x: non-shareable IPC (hint: use IpcMode:shareable)", True),
        ("failed to join IPC namespace: container x: non-shareable IPC (hint: use IpcMode:shareable)", True),
        (NAMESPACE.format("ipc"), True),
        (NAMESPACE.format("net"), True),
        (NAMESPACE.format("pid"), False),  # also what a neighbour whose processes it is to share says as it ends
        ("cannot join network of a non running container: x", False),  # the engine knows, and so does its status
        ("unable to start container process: error during container init: open /proc/self/attr: no such file", False),
    ],
)
def test_a_sandbox_is_lost_by_what_its_pause_alone_gives_away(words: str, lost: bool) -> None:
    assert sandbox_is_lost(for_status(400, words)) is lost
