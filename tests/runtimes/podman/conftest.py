"""A PodmanRuntime on the run's engine, and what tests make on it, removed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.podman.config import PodmanConfig
from runtimes.podman.runtime import PodmanRuntime
from tests.host import podmans
from tests.host.podmans import PodmanEngine
from tests.runtimes.behaviour.distant import door
from tests.runtimes.behaviour.hand import RunSandbox, VolumesHand
from tests.runtimes.pods import Pod


@pytest.fixture
async def runtime(podman_engine: PodmanEngine) -> AsyncIterator[PodmanRuntime]:
    async with opened(podman_engine) as made:
        yield made


@asynccontextmanager
async def opened(engine: PodmanEngine) -> AsyncIterator[PodmanRuntime]:
    """A runtime of its own on the engine."""
    async with await PodmanRuntime.open(PodmanConfig(host=engine.address)) as made:
        yield made


class Hand:
    """See ``VolumesHand``."""

    def __init__(self, engine: PodmanEngine) -> None:
        self._engine = engine

    def pause(self, container_id: str) -> None:
        podmans.call(self._engine.address, "POST", f"/containers/{container_id}/pause")

    def remove(self, container_id: str) -> None:
        podmans.call(self._engine.address, "DELETE", f"/containers/{container_id}", {"force": "true", "timeout": "0"})

    def load(self, archive: bytes) -> None:
        podmans.load(self._engine.address, archive)

    def remove_image(self, reference: str) -> None:
        podmans.call(self._engine.address, "DELETE", f"/images/{reference}", {"force": "true"})

    def volumes(self) -> set[str]:
        return {volume["Name"] for volume in podmans.call(self._engine.address, "GET", "/volumes/json") or ()}

    def volumes_of(self, container_id: str) -> set[str]:
        mounts = podmans.call(self._engine.address, "GET", f"/containers/{container_id}/json")["Mounts"]
        return {mount["Name"] for mount in mounts if mount["Type"] == "volume"}

    def opened(self) -> AbstractAsyncContextManager[PodmanRuntime]:
        return opened(self._engine)

    @asynccontextmanager
    async def distant(self) -> AsyncIterator[PodmanRuntime]:
        async with (
            door(self._engine.address) as address,
            await PodmanRuntime.open(PodmanConfig(host=address)) as runtime,
        ):
            yield runtime


@pytest.fixture
def hand(podman_engine: PodmanEngine) -> VolumesHand:
    return Hand(podman_engine)


@pytest.fixture
async def pod(runtime: PodmanRuntime, tmp_path: Path) -> AsyncIterator[Pod]:
    made = await Pod.make(runtime, tmp_path)
    yield made
    await made.aclose()


@pytest.fixture
async def run_sandbox(runtime: PodmanRuntime) -> AsyncIterator[RunSandbox]:
    """``await run_sandbox("web", annotations=…)`` is the id of a new sandbox, which goes with the test."""
    made: list[str] = []

    async def run(name: str = "web", **fields: Any) -> str:
        metadata = v1.PodSandboxMetadata(name=name, namespace="tests", uid=f"uid-{name}")
        config = v1.PodSandboxConfig(metadata=metadata, **fields)
        answer = await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=config))
        made.append(answer.pod_sandbox_id)
        return answer.pod_sandbox_id

    yield run
    for sandbox_id in reversed(made):
        await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
