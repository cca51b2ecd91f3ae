"""A pod for tests, on any runtime with a real engine."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

from cri import logs
from cri.errors import CRIError
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.host.images import BUSYBOX

WITHIN = 60.0
"""Seconds that a thing may take which takes a moment."""


class Pod:
    """A sandbox with a log directory, and what is done with containers in it through ``runtime``, which may change."""

    def __init__(self, runtime: Runtime, directory: Path, sandbox_id: str) -> None:
        self.runtime = runtime
        self.directory = directory
        self.sandbox_id = sandbox_id

    @classmethod
    async def make(cls, runtime: Runtime, directory: Path) -> Pod:
        name = f"pod-{secrets.token_hex(4)}"
        metadata = v1.PodSandboxMetadata(name=name, namespace="tests", uid=f"uid-{name}")
        config = v1.PodSandboxConfig(metadata=metadata, log_directory=str(directory))
        made = await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=config))
        return cls(runtime, directory, made.pod_sandbox_id)

    async def create(self, script: str, name: str = "c", **fields: Any) -> str:
        """The id of a container that is to run ``script`` in a shell."""
        fields = {"command": ["sh", "-c", script], "log_path": f"{name}.log"} | fields
        config = v1.ContainerConfig(
            metadata=v1.ContainerMetadata(name=name), image=v1.ImageSpec(image=fields.pop("image", BUSYBOX)), **fields
        )
        request = v1.CreateContainerRequest(pod_sandbox_id=self.sandbox_id, config=config)
        return (await self.runtime.create_container(request)).container_id

    async def start(self, container_id: str) -> None:
        await self.runtime.start_container(v1.StartContainerRequest(container_id=container_id))

    async def run(self, script: str, name: str = "c", **fields: Any) -> str:
        container_id = await self.create(script, name, **fields)
        await self.start(container_id)
        return container_id

    async def stop(self, container_id: str, timeout: int = 0) -> None:
        await self.runtime.stop_container(v1.StopContainerRequest(container_id=container_id, timeout=timeout))

    async def remove(self, container_id: str) -> None:
        await self.runtime.remove_container(v1.RemoveContainerRequest(container_id=container_id))

    async def reopen(self, container_id: str) -> None:
        await self.runtime.reopen_container_log(v1.ReopenContainerLogRequest(container_id=container_id))

    async def status(self, container_id: str) -> v1.ContainerStatus:
        return (await self.runtime.container_status(v1.ContainerStatusRequest(container_id=container_id))).status

    async def exited(self, container_id: str) -> v1.ContainerStatus:
        """The status as soon as the container has ended; an engine that is away is waited for."""
        async with asyncio.timeout(WITHIN):
            while True:
                try:
                    status = await self.status(container_id)
                except CRIError as error:
                    if not error.retryable:
                        raise
                else:
                    if status.state == v1.CONTAINER_EXITED:
                        return status
                await asyncio.sleep(0.02)

    async def logged(self, text: bytes, name: str = "c") -> None:
        """Return once a record with this text is in the log."""
        await until(lambda: text in self.texts(name), f"{text!r} is in the log")

    def path(self, name: str = "c") -> Path:
        return self.directory / f"{name}.log"

    def texts(self, name: str = "c") -> list[bytes]:
        return [record.text for record in logs.read(self.path(name))]

    async def aclose(self) -> None:
        await self.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=self.sandbox_id))


async def until(look: Any, what: str) -> None:
    """Return once ``look()`` is true."""
    try:
        async with asyncio.timeout(WITHIN):
            while not look():  # noqa: ASYNC110 - files and engines of others have no events here
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not so within {WITHIN:.0f} s: {what}") from None
