"""A NativeRuntime on the run's engine, and what tests make on it, removed again."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.runtime import NativeRuntime
from tests.host import native
from tests.host.native_state import beside
from tests.runtimes.behaviour.hand import EngineHand, RunSandbox
from tests.runtimes.pods import Pod


@pytest.fixture
def config(native_engine: dict[str, object]) -> NativeConfig:
    return NativeConfig.model_validate(native_engine)


@pytest.fixture
async def runtime(config: NativeConfig) -> AsyncIterator[NativeRuntime]:
    async with await NativeRuntime.open(config) as made:
        yield made


class Hand:
    """See ``EngineHand``. What it does, another process does as far as the runtime can see."""

    def __init__(self, options: dict[str, Any], folder: Path) -> None:
        self._options = options
        self._config = NativeConfig.model_validate(options)
        self._folder = folder

    def pause(self, container_id: str) -> None:
        self.crun("pause", container_id)

    def crun(self, *words: str) -> None:
        """Have the OCI runtime do something to a container behind everybody's back."""
        command = ["crun", "--root", str(self._config.run / "oci"), *words]
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    def remove(self, container_id: str) -> None:
        request = v1.RemoveContainerRequest(container_id=container_id)
        beside(lambda: self._ask(lambda runtime: runtime.remove_container(request)))

    def load(self, archive: bytes) -> None:
        native.load(self._options, archive, "", self._folder)

    def remove_image(self, reference: str) -> None:
        request = v1.RemoveImageRequest(image=v1.ImageSpec(image=reference))
        beside(lambda: self._ask(lambda runtime: runtime.remove_image(request)))

    def opened(self) -> AbstractAsyncContextManager[NativeRuntime]:
        return self._opened()

    def distant(self) -> AbstractAsyncContextManager[NativeRuntime]:
        pytest.skip("native: the engine is this process, and never on another host")

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[NativeRuntime]:
        async with await NativeRuntime.open(self._config) as runtime:
            yield runtime

    async def _ask(self, call: Callable[[NativeRuntime], Coroutine[Any, Any, object]]) -> None:
        async with self._opened() as runtime:
            await call(runtime)


@pytest.fixture
def hand(native_engine: dict[str, object], tmp_path: Path) -> EngineHand:
    return Hand(dict(native_engine), tmp_path)


@pytest.fixture
async def pod(runtime: NativeRuntime, tmp_path: Path) -> AsyncIterator[Pod]:
    made = await Pod.make(runtime, tmp_path)
    yield made
    await made.aclose()


@pytest.fixture
async def run_sandbox(runtime: NativeRuntime) -> AsyncIterator[RunSandbox]:
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
