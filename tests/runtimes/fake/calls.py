"""The calls that the tests of this package make again and again, a line each."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

from cri import logs
from cri.v1 import api_pb2 as v1
from runtimes.fake.container import Container
from runtimes.fake.runtime import FakeRuntime


async def settled() -> None:
    """Let whatever can go on without a wait go on."""
    for _ in range(100):
        await asyncio.sleep(0)


class Calls:
    """On one runtime. Names are made up where the test does not care."""

    def __init__(self, runtime: FakeRuntime, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self._numbers = itertools.count()

    async def pull(self, image: str, **annotations: str) -> str:
        spec = v1.ImageSpec(image=image, annotations={f"minicri.io/{key}": text for key, text in annotations.items()})
        return (await self.runtime.pull_image(v1.PullImageRequest(image=spec))).image_ref

    def sandbox_config(self, name: str = "", **fields: Any) -> v1.PodSandboxConfig:
        metadata = v1.PodSandboxMetadata(name=name or f"pod-{next(self._numbers)}", namespace="default", uid="1")
        return v1.PodSandboxConfig(metadata=metadata, log_directory=str(self.folder), **fields)

    async def sandbox(self, name: str = "", **fields: Any) -> str:
        """The id of a new sandbox."""
        request = v1.RunPodSandboxRequest(config=self.sandbox_config(name, **fields))
        return (await self.runtime.run_pod_sandbox(request)).pod_sandbox_id

    async def create(
        self, sandbox_id: str, *command: str, image: str = "busybox", name: str = "", **fields: Any
    ) -> str:
        """The id of a new container."""
        name = name or f"container-{next(self._numbers)}"
        config = v1.ContainerConfig(
            metadata=v1.ContainerMetadata(name=name),
            image=v1.ImageSpec(image=image),
            command=command,
            log_path=f"{name}.log",
            **fields,
        )
        request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config)
        return (await self.runtime.create_container(request)).container_id

    async def start(self, container_id: str) -> None:
        await self.runtime.start_container(v1.StartContainerRequest(container_id=container_id))

    async def run(self, *command: str, sandbox: str = "", **fields: Any) -> Container:
        """A new started container."""
        container_id = await self.create(sandbox or await self.sandbox(), *command, **fields)
        await self.start(container_id)
        return self.runtime.world.container(container_id)

    async def serve(self, sandbox: str, port: int = 80) -> Container:
        """A container that serves ``hello`` on ``port``, once it listens."""
        script = f"mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p {port} -h /www"
        container = await self.run("sh", "-c", script, sandbox=sandbox)
        await settled()
        return container

    async def done(self, *command: str, **fields: Any) -> Container:
        """A new container that has ended by itself."""
        container = await self.run(*command, **fields)
        await container.ended
        return container

    async def sh(self, script: str, **fields: Any) -> tuple[int, str, str]:
        """Exit code, output and errors of a shell script."""
        container = await self.done("sh", "-c", script, **fields)
        printed = {"stdout": b"", "stderr": b""}
        for record in self.log(container):
            printed[record.stream] += record.printed
        return container.exit_code, printed["stdout"].decode(), printed["stderr"].decode()

    def log(self, container: Container) -> list[logs.Record]:
        return logs.read(Path(container.status().log_path))

    async def exec(self, container: Container, *command: str, timeout: int = 0) -> v1.ExecSyncResponse:
        request = v1.ExecSyncRequest(container_id=container.id, cmd=command, timeout=timeout)
        return await self.runtime.exec_sync(request)

    async def stop(self, container: Container, timeout: int = 0) -> None:
        await self.runtime.stop_container(v1.StopContainerRequest(container_id=container.id, timeout=timeout))

    async def remove(self, container: Container) -> None:
        await self.runtime.remove_container(v1.RemoveContainerRequest(container_id=container.id))

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self.runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def sandbox_status(self, sandbox_id: str) -> v1.PodSandboxStatus:
        return (await self.runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))).status
