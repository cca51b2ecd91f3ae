"""One sandbox and one container, whatever makes them; and minicri as one of the ways."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1

IMAGE = "busybox"
HOLD = ["sleep", "86400"]
THREADS = 8
"""Of a way that blocks: as many lives as go on at once."""


class Way(Protocol):
    """Stopping is SIGKILL at once, as a stop with timeout 0 is."""

    async def run_sandbox(self, name: str) -> str: ...
    async def stop_sandbox(self, sandbox_id: str) -> None: ...
    async def remove_sandbox(self, sandbox_id: str) -> None: ...
    async def create(self, sandbox_id: str, name: str) -> str: ...
    async def start(self, container_id: str) -> None: ...
    async def stop(self, container_id: str) -> None: ...
    async def remove(self, container_id: str) -> None: ...


class Minicri:
    """Through a ``Runtime``, here or across a socket, with the log that a container of CRI has."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self._folder = folder
        self._configs: dict[str, v1.PodSandboxConfig] = {}

    def sandbox_config(self, name: str) -> v1.PodSandboxConfig:
        return v1.PodSandboxConfig(
            metadata=v1.PodSandboxMetadata(name=name, namespace="bench", uid=name),
            log_directory=str(self._folder / name),
        )

    def container_config(self, name: str) -> v1.ContainerConfig:
        return v1.ContainerConfig(
            metadata=v1.ContainerMetadata(name=name),
            image=v1.ImageSpec(image=IMAGE),
            command=HOLD,
            log_path=f"{name}.log",
        )

    async def run_sandbox(self, name: str) -> str:
        config = self.sandbox_config(name)
        made = await self.runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=config))
        self._configs[made.pod_sandbox_id] = config
        return made.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self.runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
        del self._configs[sandbox_id]

    async def create(self, sandbox_id: str, name: str) -> str:
        config, of = self.container_config(name), self._configs[sandbox_id]
        request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=of)
        return (await self.runtime.create_container(request)).container_id

    async def start(self, container_id: str) -> None:
        await self.runtime.start_container(v1.StartContainerRequest(container_id=container_id))

    async def stop(self, container_id: str) -> None:
        await self.runtime.stop_container(v1.StopContainerRequest(container_id=container_id, timeout=0))

    async def remove(self, container_id: str) -> None:
        await self.runtime.remove_container(v1.RemoveContainerRequest(container_id=container_id))
