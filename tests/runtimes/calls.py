"""The few calls that the tests of this package make again and again, a line each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from cri.runtime import Runtime
from cri.streaming import InboundStream
from cri.v1 import api_pb2 as v1
from tests.host.images import BUSYBOX
from tests.runtimes.pods import WITHIN


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


async def container_status(runtime: Runtime, container_id: str) -> v1.ContainerStatus:
    return (await runtime.container_status(v1.ContainerStatusRequest(container_id=container_id))).status


async def process(runtime: Runtime, container_id: str) -> Path:
    """The /proc directory of a running container's first process."""
    request = v1.ContainerStatusRequest(container_id=container_id, verbose=True)
    info = json.loads((await runtime.container_status(request)).info["info"])
    return Path("/proc", str(info["pid"]))


@contextlib.contextmanager
def held(process: Path) -> Iterator[int]:
    """A handle of what a /proc directory is of. Its number is another's a while after its end, a handle never is."""
    handle = os.pidfd_open(int(process.name))
    try:
        yield handle
    finally:
        os.close(handle)


async def pause_process(runtime: Runtime, sandbox_id: str) -> Path:
    """The /proc directory of the sandbox's process."""
    request = v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
    info = json.loads((await runtime.pod_sandbox_status(request)).info["info"])
    return Path("/proc", str(info["pid"]))


async def kill(runtime: Runtime, container_id: str) -> None:
    """SIGKILL its first process, which no engine is asked to do."""
    os.kill(int((await process(runtime, container_id)).name), signal.SIGKILL)


def commands(container_id: str) -> dict[str, Path]:
    """The command lines of the processes in a running container, each with its /proc directory."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if container_id in (place / "cgroup").read_text():
                found[(place / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()] = place
    return found


def on_the_host() -> v1.LinuxPodSandboxConfig:
    """The linux part of a sandbox on the host's network."""
    options = v1.NamespaceOption(network=v1.NODE)
    return v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(namespace_options=options))


async def read_until(stream: InboundStream, pattern: bytes) -> bytes:
    """What a session's output has brought once ``pattern`` is in it."""
    seen = b""
    async with asyncio.timeout(WITHIN):
        while not re.search(pattern, seen):
            piece = await stream.read()
            assert piece, f"the output ended after {seen!r}"
            seen += piece
    return seen
