"""``kill -9`` of the engine itself under a running orchestrator, and what it may leave: what should run runs again."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from orchestrator.client import Client
from orchestrator.v1 import orchestrator_pb2 as pb
from tests.e2e.engines import Configured
from tests.e2e.lives import Census, Folder, as_recorded
from tests.host.engines import DockerEngine, lose_shm
from tests.orchestrator.commands import PATIENCE

SERVER = """
name: server
image: busybox
command: [sleep, '1000']
restart: {policy: always, backoff: 100ms}
stop: {grace: 0}
replicas: 5
"""


async def all_run(client: Client, after_attempt: int) -> list[pb.Task]:
    """The tasks, once each runs in a later attempt."""
    async with asyncio.timeout(PATIENCE), aclosing(client.watch(pb.WatchRequest(follow=True))) as events:
        async for _ in events:
            tasks = list((await client.list(pb.ListRequest())).tasks)
            if all(task.state == pb.STATE_RUNNING and task.attempt > after_attempt for task in tasks):
                return tasks
    raise AssertionError("the watch ended")


@pytest.mark.timeout(180)
async def test_tasks_come_back_with_the_engine_each_of_them_once(private_docker_engine: DockerEngine) -> None:
    engine = private_docker_engine
    with tempfile.TemporaryDirectory(prefix="minicri-kill-") as path:
        configured = Configured(Path(path), "docker", {"host": engine.address})
        folder = Folder(configured)
        async with configured.opened() as runtime, aclosing(Census(runtime)) as census:
            with folder.living():
                async with folder.client() as client:
                    instance = (await client.info(pb.InfoRequest())).instance
                    await client.submit(pb.SubmitRequest(manifest=SERVER, actor="test"))
                    await all_run(client, after_attempt=-1)
                    await asyncio.to_thread(engine.kill)
                    await asyncio.to_thread(engine.start)
                    tasks = await all_run(client, after_attempt=0)
                    assert await census.there(instance) == as_recorded(tasks)
                    await client.delete(pb.DeleteRequest(all=True, wait=True))
                    assert await census.there(instance) == []
                await asyncio.to_thread(folder.end)


@pytest.mark.timeout(180)
async def test_a_sandbox_that_takes_no_container_any_more_is_replaced(private_docker_engine: DockerEngine) -> None:
    engine = private_docker_engine
    with tempfile.TemporaryDirectory(prefix="minicri-kill-") as path:
        configured = Configured(Path(path), "docker", {"host": engine.address})
        folder = Folder(configured)
        async with configured.opened() as runtime, aclosing(Census(runtime)) as census:
            with folder.living():
                async with folder.client() as client:
                    instance = (await client.info(pb.InfoRequest())).instance
                    manifest = SERVER.replace("replicas: 5", "replicas: 2")
                    await client.submit(pb.SubmitRequest(manifest=manifest, actor="test"))
                    await all_run(client, after_attempt=-1)
                    for box in await census.sandboxes(instance):
                        lose_shm(engine, box.id)
                    for one in await census.containers(instance):
                        await runtime.stop_container(v1.StopContainerRequest(container_id=one.id))
                    tasks = await all_run(client, after_attempt=0)
                    assert await census.there(instance) == as_recorded(tasks)
                    await client.delete(pb.DeleteRequest(all=True, wait=True))
                await asyncio.to_thread(folder.end)
