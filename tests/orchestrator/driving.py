"""Driving an ``Orchestrator`` over an ``Engine`` in tests, and waiting for what it makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from manifests.spec import TaskSpec
from orchestrator.control import Orchestrator, Settings
from orchestrator.store import MemoryStore, Store
from orchestrator.task import EventKind, Item, State, Task
from tests.orchestrator.engine import Engine

QUICK = Settings(relist=0.05, retry_backoff=0.01, retry_max=0.05)
NO_RELIST = Settings(relist=3600.0, retry_backoff=0.01, retry_max=0.05)


def spec(name: str = "web", **more: Any) -> TaskSpec:
    return TaskSpec.model_validate({"name": name, "image": "busybox", **more})


@asynccontextmanager
async def orchestrating(
    engine: Engine, state_dir: Path, *, store: Store | None = None, settings: Settings = QUICK
) -> AsyncIterator[Orchestrator]:
    async with Orchestrator(engine, store or MemoryStore(), state_dir=state_dir, settings=settings) as orchestrator:
        yield orchestrator


async def reach(orchestrator: Orchestrator, task_id: str, *states: State) -> Task:
    async with asyncio.timeout(60):
        task = await orchestrator.wait(task_id, states)
    assert task is not None
    return task


async def gone(orchestrator: Orchestrator, task_id: str) -> None:
    async with asyncio.timeout(60):
        assert await orchestrator.wait(task_id, ()) is None


async def until(orchestrator: Orchestrator, reached: Callable[[Task], bool]) -> Task:
    async with asyncio.timeout(60):
        task = await orchestrator.until("web", lambda task: task is not None and reached(task))
    assert task is not None
    return task


async def reach_attempt(orchestrator: Orchestrator, attempt: int) -> Task:
    return await until(orchestrator, lambda task: task.state is State.RUNNING and task.attempt == attempt)


async def eventually(condition: Callable[[], bool]) -> None:
    """For what happens outside the orchestrator's records, where there is no event to wait for."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def looked_at(orchestrator: Orchestrator, store: Store, task_id: str = "web") -> Task:
    """The record after one more look, whatever came of it."""
    await store.enqueue([Item(task_id=task_id, actor="test")])
    async with asyncio.timeout(60):
        while await store.depth():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return await orchestrator.get(task_id)


async def states(orchestrator: Orchestrator, task_id: str) -> Sequence[State | None]:
    events = await orchestrator.history(task_id=task_id)
    return [event.target for event in events if event.kind is EventKind.TRANSITION]
