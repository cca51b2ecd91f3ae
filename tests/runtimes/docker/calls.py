"""The few calls that the tests of this package make again and again, a line each."""

from __future__ import annotations

from pathlib import Path

import docker

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.host.images import BUSYBOX


async def status(runtime: Runtime, sandbox_id: str) -> v1.PodSandboxStatus:
    return (await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))).status


async def stop(runtime: Runtime, sandbox_id: str) -> None:
    await runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))


async def remove(runtime: Runtime, sandbox_id: str) -> None:
    await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))


async def listed(runtime: Runtime) -> list[str]:
    return [item.id for item in (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items]


async def create(runtime: Runtime, sandbox_id: str, *command: str, name: str = "c") -> str:
    """The id of a new busybox container."""
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name=name), image=v1.ImageSpec(image=BUSYBOX), command=command
    )
    request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config)
    return (await runtime.create_container(request)).container_id


async def start(runtime: Runtime, sandbox_id: str, *command: str, name: str = "c") -> str:
    """The id of a started busybox container."""
    container_id = await create(runtime, sandbox_id, *command, name=name)
    await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    return container_id


def output(client: docker.DockerClient, sandbox_id: str, *command: str) -> str:
    """What a command in the network of a sandbox prints."""
    written: bytes = client.containers.run(
        BUSYBOX, list(command), network_mode=f"container:{sandbox_id}", remove=True, stderr=True
    )
    return written.decode()


def pause_process(client: docker.DockerClient, sandbox_id: str) -> Path:
    """The /proc directory of the sandbox's process."""
    return Path("/proc", str(client.containers.get(sandbox_id).attrs["State"]["Pid"]))
