"""A DockerRuntime on the run's engine, and what tests make on it, removed again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing

import docker
import pytest

from cri.v1 import api_pb2 as v1
from runtimes.docker.config import DockerConfig
from runtimes.docker.runtime import DockerRuntime
from tests.host.engines import DockerEngine
from tests.runtimes.docker.examples import sandbox

RunSandbox = Callable[..., Awaitable[str]]


@pytest.fixture
async def runtime(docker_engine: DockerEngine) -> AsyncIterator[DockerRuntime]:
    async with await DockerRuntime.open(DockerConfig(host=docker_engine.address)) as opened:
        yield opened


@pytest.fixture
def engine_client(docker_engine: DockerEngine) -> Iterator[docker.DockerClient]:
    """The SDK, to look behind the runtime's back."""
    with closing(docker_engine.client()) as client:
        yield client


@pytest.fixture
async def run_sandbox(runtime: DockerRuntime) -> AsyncIterator[RunSandbox]:
    """``await run_sandbox("web", annotations=…)`` is the id of a new sandbox, which goes with the test."""
    made: list[str] = []

    async def run(name: str = "web", **fields: object) -> str:
        answer = await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=sandbox(name, **fields)))
        made.append(answer.pod_sandbox_id)
        return answer.pod_sandbox_id

    yield run
    for sandbox_id in reversed(made):
        await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
