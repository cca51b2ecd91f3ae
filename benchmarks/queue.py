"""Tasks through queue and Db: enqueued, claimed, judged by the heuristic and written down, each of them durably."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter, time

from benchmarks.result import Result
from manifests.spec import TaskSpec
from orchestrator.heuristic import accept
from orchestrator.store import MemoryStore, Outcome, Store, open_store
from orchestrator.task import Item, State

TASKS = 5000
GOAL = 1000.0
BATCH = 256
"""Items claimed at once, as by the worker."""


async def run() -> AsyncIterator[Result]:
    with tempfile.TemporaryDirectory(prefix="minicri-bench-", dir="/var/tmp") as folder:  # a disk, not memory
        async with open_store(Path(folder)) as store:
            durable = await _through(store)
    memory = await _through(MemoryStore("bench"))
    yield Result(what="through queue and Db, SQLite, durable", value=durable, unit="tasks/s", goal=GOAL, at_least=True)
    yield Result(what="the same in memory", value=memory, unit="tasks/s")


async def _through(store: Store) -> float:
    """Tasks a second."""
    specs = [TaskSpec(name=f"task-{number}", image="busybox") for number in range(TASKS)]
    begun = perf_counter()
    for at in range(0, TASKS, BATCH):
        await store.enqueue(
            [Item(task_id=spec.name, wish=State.SCHEDULED, spec=spec, actor="bench") for spec in specs[at : at + BATCH]]
        )
    while items := await store.claim("bench", time(), BATCH):
        await asyncio.gather(*(_judge(store, item) for item in items))
    seconds = perf_counter() - begun
    known = await store.list()
    assert len(known) == TASKS
    assert await store.depth() == 0
    return TASKS / seconds


async def _judge(store: Store, item: Item) -> None:
    verdict = accept(item, await store.get(item.task_id), now=time(), uid=uuid.uuid4().hex)
    assert verdict.task is not None
    task = replace(verdict.task, version=verdict.task.version + 1)
    await store.commit(Outcome(task=task, events=verdict.events, done=(item.seq,)))
