"""The examples as tasks, on every engine: the same states, exit codes, output and history."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cri.v1 import api_pb2 as v1
from manifests import manifest
from orchestrator.control import Orchestrator
from orchestrator.store import MemoryStore
from orchestrator.task import State
from tests.conformance.kit import free_port
from tests.conformance.web import page_at
from tests.e2e.engines import Configured

ACTOR = "swap"
PATIENCE = 60.0

Line = tuple[str, str, int, int | None]
"""From, to, attempt, exit code."""

NEW: list[Line] = [("", "Pending", 0, None), ("Pending", "Scheduled", 0, None), ("Scheduled", "Running", 0, None)]
STOPPED: list[Line] = [("Running", "", 0, None), ("Running", "Completed", 0, 137)]
"""The wish is noted, then the container has ended: a first process that has no handler does not hear SIGTERM."""


@asynccontextmanager
async def tasks_of(engine: Configured, file: str) -> AsyncIterator[Orchestrator]:
    """An orchestrator that was told of a manifest. At the end of the block the engine has nothing of it any more."""
    async with engine.opened() as runtime, asyncio.timeout(PATIENCE):
        store = MemoryStore()
        async with Orchestrator(runtime, store, state_dir=engine.folder / "state") as orchestrator:
            try:
                await orchestrator.submit(manifest.read(file), actor=ACTOR)
                yield orchestrator
            finally:
                await orchestrator.stop_all(forget=True, actor=ACTOR)
        ours = {"minicri.io/instance": store.instance}
        listed = v1.ListPodSandboxRequest(filter=v1.PodSandboxFilter(label_selector=ours))
        assert list((await runtime.list_pod_sandbox(listed)).items) == []


async def history(orchestrator: Orchestrator, task_id: str) -> list[Line]:
    """What the task went through; what is noted of the rollout of its name comes whenever the rollout gets there."""
    lines = [line for line in await orchestrator.history(task_id=task_id) if line.uid]
    return [(line.source or "", line.target or "", line.attempt, line.exit_code) for line in lines]


async def outcome(orchestrator: Orchestrator, task_id: str) -> tuple[State, int | None, str]:
    """State, exit code and reason."""
    task = await orchestrator.get(task_id)
    return task.state, task.exit_code, task.reason


async def output(orchestrator: Orchestrator, task_id: str) -> list[tuple[str, str]]:
    return [(record.stream, record.text.decode()) async for record in orchestrator.logs(task_id)]


async def test_the_batch_example_has_one_history(engine: Configured) -> None:
    async with tasks_of(engine, engine.example("batch.yaml")) as orchestrator:
        await orchestrator.wait_settled(["count", "flaky", "once"])
        assert await outcome(orchestrator, "count") == (State.COMPLETED, 0, "Completed")
        assert await history(orchestrator, "count") == [*NEW, ("Running", "Completed", 0, 0)]
        assert await output(orchestrator, "count") == [("stdout", f"counting {number}") for number in (1, 2, 3)]
        assert await outcome(orchestrator, "flaky") == (State.FAILED, 3, "Error")
        assert await history(orchestrator, "flaky") == [
            *NEW,
            ("Running", "Failed", 0, 3),
            ("Failed", "Scheduled", 1, 3),
            ("Scheduled", "Running", 1, None),
            ("Running", "Failed", 1, 3),
            ("Failed", "Scheduled", 2, 3),
            ("Scheduled", "Running", 2, None),
            ("Running", "Failed", 2, 3),
        ]
        assert await outcome(orchestrator, "once") == (State.FAILED, 1, "Error")
        assert await history(orchestrator, "once") == [*NEW, ("Running", "Failed", 0, 1)]


async def test_the_web_example_has_one_history(engine: Configured) -> None:
    port = free_port()
    async with tasks_of(engine, engine.example("web.yaml", _8080=str(port))) as orchestrator:
        await orchestrator.wait("web", [State.RUNNING])
        assert (await page_at("127.0.0.1", port)).endswith(b"<h1>Hello from minicri</h1>\n")
        await orchestrator.put("web", State.COMPLETED, actor=ACTOR)
        await orchestrator.wait_settled(["web"])
        assert await outcome(orchestrator, "web") == (State.COMPLETED, 137, "Stopped")
        assert await history(orchestrator, "web") == [*NEW, *STOPPED]


async def test_the_platform_example_has_one_history(engine: Configured) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the example is for x86-64")
    async with tasks_of(engine, engine.example("platform.json")) as orchestrator:
        await orchestrator.wait_settled(["platform"])
        assert await outcome(orchestrator, "platform") == (State.COMPLETED, 0, "Completed")
        assert await history(orchestrator, "platform") == [*NEW, ("Running", "Completed", 0, 0)]
        assert await output(orchestrator, "platform") == [("stdout", "x86_64")]


async def test_the_network_example_ends_the_same(engine: Configured) -> None:
    subnet = f"10.78.{os.getpid() % 250}"
    swaps = {"10_77_0": subnet, "minicri-example": f"minicri-tasks-{os.getpid()}"}
    async with tasks_of(engine, engine.example("network.yaml", **swaps)) as orchestrator:
        await orchestrator.wait_settled(["client"])
        assert await outcome(orchestrator, "client") == (State.COMPLETED, 0, "Completed")
        served = [text for _, text in await output(orchestrator, "client") if text.startswith("served")]
        assert served[-3:] == ["served by the-server"] * 3
        await orchestrator.put("server", State.COMPLETED, actor=ACTOR)
        await orchestrator.wait_settled(["server"])
        assert await history(orchestrator, "server") == [*NEW, *STOPPED]
