"""From a submitted spec to Running: one task at a time, and many at once."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import cri
from benchmarks.result import Result, spread
from cri.runtime import Runtime
from manifests.spec import TaskSpec
from orchestrator.control import Orchestrator
from orchestrator.store import open_store
from orchestrator.task import State

ONE_BY_ONE = 100
AT_ONCE = 500
GOAL_MS = 50.0


async def run() -> AsyncIterator[Result]:
    async with orchestrating("fake") as (orchestrator, _):
        seconds = [await _start(orchestrator, f"one-{number}") for number in range(ONE_BY_ONE)]
        for result in spread("submit to Running, fake, SQLite", seconds, goal_ms=GOAL_MS):
            yield result
        yield Result(what=f"{AT_ONCE} tasks at once to Running", value=await _many(orchestrator), unit="tasks/s")


@asynccontextmanager
async def orchestrating(runtime: str, **options: Any) -> AsyncIterator[tuple[Orchestrator, Runtime]]:
    """An orchestrator as ``minicri up`` has it, without the command and the socket."""
    with tempfile.TemporaryDirectory(prefix="minicri-bench-", dir="/var/tmp") as folder:
        async with (
            cri.open(runtime, **options) as engine,
            open_store(Path(folder)) as store,
            Orchestrator(engine, store, state_dir=Path(folder)) as orchestrator,
        ):
            try:
                yield orchestrator, engine
            finally:
                await orchestrator.stop_all(forget=True, actor="bench")


def sleeper(name: str) -> TaskSpec:
    return TaskSpec.model_validate(
        {"name": name, "image": "busybox", "command": ["sleep", "1000"], "stop": {"grace": 0}}
    )


async def _start(orchestrator: Orchestrator, name: str) -> float:
    begun = perf_counter()
    await orchestrator.submit([sleeper(name)], actor="bench")
    await orchestrator.wait(name, {State.RUNNING})
    return perf_counter() - begun


async def _many(orchestrator: Orchestrator) -> float:
    specs = [sleeper(f"many-{number}") for number in range(AT_ONCE)]
    begun = perf_counter()
    await orchestrator.submit(specs, actor="bench")
    for spec in specs:
        await orchestrator.wait(spec.name, {State.RUNNING})
    return AT_ONCE / (perf_counter() - begun)
