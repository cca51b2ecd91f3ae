"""Tasks with all that a task may have: init and side containers, volumes, secrets, probes, hooks, limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from orchestrator.control import Orchestrator
from orchestrator.task import State, Task
from tests.e2e.engines import Configured
from tests.e2e.test_swap_tasks import ACTOR, output, tasks_of

MANIFEST = """
name: db
image: busybox
command: [sleep, "1000"]
stop: {grace: 0}
mounts: [{volume: data, target: /data}]
hooks: {post_start: [sh, -c, echo up > /data/up]}
probes: {readiness: {exec: [cat, /data/up], period: 100ms, timeout: 10s}}
---
name: web
image: busybox
command: [sh, -c, 'echo "the password is $PASSWORD"; cat /site/index.html; exec sleep 1000']
stop: {grace: 0}
depends_on: {db: ready}
secrets: {PASSWORD: {file: ./password}}
mounts: [{volume: site, target: /site, readonly: true}]
resources: {memory: 64Mi}
restart: {policy: always, backoff: 0}
init:
  - name: prepare
    image: busybox
    command: [sh, -c, echo prepared > /site/index.html]
    mounts: [{volume: site, target: /site}]
containers:
  - name: httpd
    image: busybox
    command: [httpd, -f, -p, "8080", -h, /site]
    mounts: [{volume: site, target: /site}]
    probes:
      readiness: {http: {port: 8080, path: /index.html}, period: 100ms, timeout: 10s}
      liveness: {tcp: {port: 8080}, period: 100ms, timeout: 10s}
"""


@asynccontextmanager
async def two_tasks(engine: Configured, folder: Path) -> AsyncIterator[Orchestrator]:
    """The manifest above, up and ready."""
    if engine.runtime in ("fake", "remote"):
        pytest.skip("the fake's processes have no files, and containerd's network is not the host's to reach")
    (folder / "password").write_text("sesame\n")
    (folder / "tasks.yaml").write_text(MANIFEST)
    async with tasks_of(engine, str(folder / "tasks.yaml")) as orchestrator:
        await until(orchestrator, lambda task: task.ready)
        yield orchestrator


async def until(orchestrator: Orchestrator, reached: Callable[[Task], bool]) -> Task:
    task = await orchestrator.until("web", lambda task: task is not None and reached(task))
    assert task is not None
    return task


async def test_a_task_of_several_containers_waits_for_another_prepares_and_is_ready(
    engine: Configured, tmp_path: Path
) -> None:
    async with two_tasks(engine, tmp_path) as orchestrator:
        web, db = await orchestrator.get("web"), await orchestrator.get("db")
        assert (web.state, db.state, db.ready) == (State.RUNNING, State.RUNNING, True)
        assert web.containers.keys() == {"prepare", "httpd", "web"}
        async with asyncio.timeout(60):
            while len(said := await output(orchestrator, "web")) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert said == [("stdout", "the password is sesame"), ("stdout", "prepared")]
        waited = [event.message for event in await orchestrator.history(task_id="web") if event.reason == "Waiting"]
        assert waited[0].startswith("db to be ready")


async def test_a_side_container_that_dies_takes_the_attempt_along_and_all_come_back(
    engine: Configured, tmp_path: Path
) -> None:
    async with two_tasks(engine, tmp_path) as orchestrator:
        before = await orchestrator.get("web")
        await kill(engine, before.containers["httpd"])
        after = await until(orchestrator, lambda task: task.attempt == 1 and task.ready)
        assert not set(after.containers.values()) & set(before.containers.values())


async def test_more_memory_is_given_without_a_restart(engine: Configured, tmp_path: Path) -> None:
    async with two_tasks(engine, tmp_path) as orchestrator:
        before = await orchestrator.get("web")
        spec = before.spec.model_copy(update={"resources": before.spec.resources.model_copy(update={"memory": 2**27})})
        await orchestrator.submit([spec], actor=ACTOR)
        after = await until(orchestrator, lambda task: task.spec == spec and not task.resized)
        assert (after.attempt, after.containers) == (0, before.containers)


async def kill(engine: Configured, container_id: str) -> None:
    async with engine.opened() as runtime:
        await runtime.stop_container(v1.StopContainerRequest(container_id=container_id, timeout=0))
