"""Containers that run a shell script, and what it prints: how the tests see a container from inside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import docker
import pytest

from cri.v1 import api_pb2 as v1
from runtimes.docker.runtime import DockerRuntime
from tests.host.images import BUSYBOX
from tests.runtimes.behaviour.hand import RunSandbox

Create = Callable[..., Awaitable[str]]
Print = Callable[..., Awaitable[str]]


@pytest.fixture
def create(runtime: DockerRuntime, run_sandbox: RunSandbox) -> Create:
    """``await create("id", sandbox_id=…, security=…)`` is a container that will run this shell script."""

    async def create(
        script: str,
        sandbox_id: str = "",
        security: v1.LinuxContainerSecurityContext | None = None,
        resources: v1.LinuxContainerResources | None = None,
        **fields: Any,
    ) -> str:
        config = v1.ContainerConfig(
            metadata=v1.ContainerMetadata(name="c"),
            image=v1.ImageSpec(image=BUSYBOX),
            command=["sh", "-c", script],
            linux=v1.LinuxContainerConfig(security_context=security, resources=resources),
            **fields,
        )
        sandbox_id = sandbox_id or await run_sandbox()
        made = await runtime.create_container(v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config))
        return made.container_id

    return create


@pytest.fixture
def printed(runtime: DockerRuntime, engine_client: docker.DockerClient, create: Create) -> Print:
    """``await printed("id")`` is what the script writes, to either stream, until it ends."""

    async def printed(script: str, **settings: Any) -> str:
        container_id = await create(script, **settings)
        await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
        container = engine_client.containers.get(container_id)
        await asyncio.to_thread(container.wait)
        written: bytes = container.logs()
        return written.decode().strip()

    return printed


def context(**fields: Any) -> v1.LinuxContainerSecurityContext:
    return v1.LinuxContainerSecurityContext(**fields)


def number(value: int) -> v1.Int64Value:
    return v1.Int64Value(value=value)


async def status(runtime: DockerRuntime, container_id: str) -> v1.ContainerStatus:
    return (await runtime.container_status(v1.ContainerStatusRequest(container_id=container_id))).status
