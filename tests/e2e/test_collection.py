"""What is collected on real engines: an orphan of this instance, and nothing that another one runs or needs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from cri.image_collection import Pulled
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from manifests.spec import TaskSpec
from orchestrator.collection import Limits
from orchestrator.collector import Collector
from orchestrator.control import Orchestrator, Settings
from orchestrator.measure import Measure
from orchestrator.pods import INSTANCE
from orchestrator.store import MemoryStore
from orchestrator.task import State
from tests.e2e.engines import Configured

SPEC = TaskSpec.model_validate(
    {
        "name": "lost",
        "image": "busybox",
        "command": ["sh", "-c", "trap exit TERM; sleep 1000 & wait"],
        "stop": {"grace": 0},
        "network": {"mode": "none"},
    }
)


async def test_an_orphan_goes_and_what_another_instance_runs_stays(engine: Configured) -> None:
    if engine.runtime in ("fake", "remote"):
        pytest.skip("this is about engines that remember")
    async with engine.opened() as runtime, asyncio.timeout(60):
        ours, theirs = MemoryStore(), MemoryStore()
        async with orchestrating(runtime, engine, theirs) as other:
            await start(other)
            async with orchestrating(runtime, engine, ours) as first:
                await start(first)
            emptied = MemoryStore(ours.instance)
            async with orchestrating(runtime, engine, emptied) as second:
                [orphan] = await second.orphans.list()
                assert (orphan.task_id, orphan.sandboxes, orphan.containers, orphan.running) == ("lost", 1, 1, 1)
                await second.orphans.reap(actor="test", wait=True)
            assert await sandboxes(runtime, ours.instance) == 0
            assert await sandboxes(runtime, theirs.instance) == 1
            assert await needed(runtime, engine, emptied), "its image would have been taken away"
            await other.stop_all(forget=True, actor="test")


async def needed(runtime: Runtime, engine: Configured, store: MemoryStore) -> bool:
    """Whether the image that only another instance's container is made of counts as in use, had we pulled it."""
    found = (await runtime.image_status(v1.ImageStatusRequest(image=v1.ImageSpec(image="busybox")))).image
    pulled = Pulled(id=found.id, names=(*found.repo_tags, *found.repo_digests), unused_since=time.time())
    await store.keep_images([pulled])
    await Collector(store, runtime, engine.folder, Limits(), measure=Measure()).collect_images()
    return [one.unused_since for one in await store.pulled_images()] == [None]


def orchestrating(runtime: Runtime, engine: Configured, store: MemoryStore) -> Orchestrator:
    folder = engine.folder / store.instance
    return Orchestrator(runtime, store, state_dir=folder, settings=replace(Settings(), orphan_grace=3600.0))


async def start(orchestrator: Orchestrator) -> None:
    await orchestrator.submit([SPEC], actor="test")
    task = await orchestrator.wait("lost", [State.RUNNING, State.FAILED])
    assert task is not None
    assert task.state is State.RUNNING, task.message


async def sandboxes(runtime: Runtime, instance: str) -> int:
    wanted = v1.PodSandboxFilter(label_selector={INSTANCE: instance})
    return len((await runtime.list_pod_sandbox(v1.ListPodSandboxRequest(filter=wanted))).items)
