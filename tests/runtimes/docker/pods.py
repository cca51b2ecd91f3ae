"""A pod on a runtime that a test opens itself, for tests which restart runtimes and engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtimes.docker.config import DockerConfig
from runtimes.docker.runtime import DockerRuntime
from tests.host.engines import DockerEngine
from tests.runtimes.pods import Pod, until

__all__ = ["Pod", "opened", "pod_between_runtimes", "until"]


@asynccontextmanager
async def opened(engine: DockerEngine) -> AsyncIterator[DockerRuntime]:
    """A runtime of its own on the engine."""
    async with await DockerRuntime.open(DockerConfig(host=engine.address)) as runtime:
        yield runtime


@asynccontextmanager
async def pod_between_runtimes(engine: DockerEngine, directory: Path) -> AsyncIterator[Pod]:
    """A pod whose ``runtime`` the test opens, as often as it likes; removed at the end."""
    async with opened(engine) as runtime:
        pod = await Pod.make(runtime, directory)
    try:
        yield pod
    finally:
        async with opened(engine) as pod.runtime:
            await pod.aclose()
