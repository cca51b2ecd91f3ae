"""A DockerRuntime on the run's engine, and what tests make on it, removed again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import docker
import pytest

from cri.v1 import api_pb2 as v1
from runtimes.docker.config import DockerConfig
from runtimes.docker.runtime import DockerRuntime
from tests.host.engines import DockerEngine
from tests.runtimes.behaviour.distant import door
from tests.runtimes.behaviour.hand import RunSandbox, VolumesHand
from tests.runtimes.docker.examples import sandbox
from tests.runtimes.docker.inside import create, printed
from tests.runtimes.docker.pods import opened
from tests.runtimes.pods import Pod

__all__ = ["RunSandbox", "create", "printed"]


@pytest.fixture
async def runtime(docker_engine: DockerEngine) -> AsyncIterator[DockerRuntime]:
    async with await DockerRuntime.open(DockerConfig(host=docker_engine.address)) as opened:
        yield opened


@pytest.fixture
def engine_client(docker_engine: DockerEngine) -> Iterator[docker.DockerClient]:
    """The SDK, to look behind the runtime's back."""
    with closing(docker_engine.client()) as client:
        yield client


class Hand:
    """See ``VolumesHand``."""

    def __init__(self, engine: DockerEngine, client: docker.DockerClient) -> None:
        self._engine = engine
        self._client = client

    def pause(self, container_id: str) -> None:
        self._client.containers.get(container_id).pause()

    def remove(self, container_id: str) -> None:
        self._client.api.remove_container(container_id, force=True)

    def load(self, archive: bytes) -> None:
        self._client.images.load(archive)

    def remove_image(self, reference: str) -> None:
        self._client.images.remove(reference)

    def volumes(self) -> set[str]:
        return {volume.name for volume in self._client.volumes.list()}

    def volumes_of(self, container_id: str) -> set[str]:
        mounts = self._client.api.inspect_container(container_id)["Mounts"]
        return {mount["Name"] for mount in mounts if mount["Type"] == "volume"}

    def opened(self) -> AbstractAsyncContextManager[DockerRuntime]:
        return opened(self._engine)

    @asynccontextmanager
    async def distant(self) -> AsyncIterator[DockerRuntime]:
        async with (
            door(self._engine.address) as address,
            await DockerRuntime.open(DockerConfig(host=address)) as runtime,
        ):
            yield runtime


@pytest.fixture
def hand(docker_engine: DockerEngine, engine_client: docker.DockerClient) -> VolumesHand:
    return Hand(docker_engine, engine_client)


@pytest.fixture
async def pod(runtime: DockerRuntime, tmp_path: Path) -> AsyncIterator[Pod]:
    made = await Pod.make(runtime, tmp_path)
    yield made
    await made.aclose()


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
