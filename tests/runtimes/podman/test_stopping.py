"""Stopping on Podman: what holds for every engine, and what is left of it."""

from __future__ import annotations

from runtimes.podman.runtime import PodmanRuntime
from tests.runtimes.behaviour.stopping import *  # noqa: F403
from tests.runtimes.behaviour.stopping import stubborn
from tests.runtimes.pods import Pod, until


async def test_stopping_leaves_nothing_behind(pod: Pod, runtime: PodmanRuntime) -> None:
    stopping = runtime._containers._life._stopping
    container_id = await stubborn(pod)
    await pod.stop(container_id, timeout=1)
    await until(lambda: not stopping._waits, "no wait is left")
    assert not stopping._signalled
