"""Stopping on Docker: what holds for every engine, and what is left of it."""

from __future__ import annotations

from runtimes.docker.runtime import DockerRuntime
from tests.runtimes.behaviour.stopping import *  # noqa: F403
from tests.runtimes.behaviour.stopping import stubborn
from tests.runtimes.pods import Pod, until


async def test_stopping_leaves_nothing_behind(pod: Pod, runtime: DockerRuntime) -> None:
    stopping = runtime._containers._life._stopping
    container_id = await stubborn(pod)
    await pod.stop(container_id, timeout=1)
    await until(lambda: not stopping._waits, "no wait is left")
    assert not stopping._signalled
