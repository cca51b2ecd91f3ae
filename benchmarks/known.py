"""Ten thousand known tasks on the fake: what a pass over them costs, what they weigh, what they do to an idle
``minicri up``; and how soon a task that ended is started again.

What is weighed and watched is a process of its own, so that nothing of the measuring is in it; and the fake, which
has ten thousand containers in its memory, is another one, as any engine is.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.remote import serving
from benchmarks.result import Result, spread
from benchmarks.starts import orchestrating
from cri.v1 import api_pb2 as v1
from manifests.spec import TaskSpec
from orchestrator.loop import ControlLoop
from orchestrator.task import State, Task
from orchestrator.worker import Settings

TASKS = 10_000
PASSES = 5
QUIET = 30.0
"""Seconds over which the idle process is watched; its relist is every ten."""
RESTARTS = 30
PASS_GOAL_S, MEMORY_GOAL_MB, IDLE_GOAL_PERCENT, RESTART_GOAL_MS = 1.0, 200.0, 2.0, 100.0


async def run() -> AsyncIterator[Result]:
    with tempfile.TemporaryDirectory(prefix="minicri-bench-") as folder:
        address = f"unix://{folder}/fake.sock"
        async with serving("fake", address):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.known", address, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await process.communicate()
    assert process.returncode == 0
    seen = json.loads(said)
    yield Result(what=f"{TASKS} known tasks, one pass of the loop", value=seen["pass"], unit="s", goal=PASS_GOAL_S)
    yield Result(what="resident memory with them", value=seen["memory"], unit="MB", goal=MEMORY_GOAL_MB)
    yield Result(what="resident memory without any", value=seen["empty"], unit="MB")
    yield Result(what="CPU while nothing happens", value=seen["cpu"], unit="%", goal=IDLE_GOAL_PERCENT)
    for result in spread(
        "exit to the next attempt running, no backoff, fake", await _restarts(), goal_ms=RESTART_GOAL_MS
    ):
        yield result


async def _restarts() -> list[float]:
    spec = TaskSpec.model_validate(
        {"name": "again", "image": "busybox", "command": ["sleep", "1000"], "stop": {"grace": 0},
         "restart": {"policy": "always", "backoff": 0}}
    )  # fmt: skip
    seconds = []
    async with orchestrating("fake") as (orchestrator, engine):
        await orchestrator.submit([spec], actor="bench")
        for attempt in range(RESTARTS):
            task = await orchestrator.until("again", _runs_in(attempt))
            assert task is not None
            begun = perf_counter()
            await engine.stop_container(v1.StopContainerRequest(container_id=task.container_id))
            await orchestrator.until("again", _runs_in(attempt + 1))
            seconds.append(perf_counter() - begun)
    return seconds


def _runs_in(attempt: int) -> Callable[[Task | None], bool]:
    return lambda task: task is not None and task.attempt == attempt and task.state is State.RUNNING


async def _process(address: str) -> dict[str, float]:
    """The process that is watched: prints what was seen."""
    async with orchestrating("remote", address=address) as (orchestrator, engine):
        seen = {"empty": _megabytes()}
        spec = TaskSpec.model_validate(
            {"name": "known", "image": "busybox", "command": ["sleep", "100000"], "replicas": TASKS,
             "stop": {"grace": 0}}
        )  # fmt: skip
        await orchestrator.submit([spec], actor="bench")
        for task in await orchestrator.list():
            await orchestrator.wait(task.id, {State.RUNNING})
        store = orchestrator._store
        loop = ControlLoop(store, engine, Settings())
        passes = []
        for _ in range(PASSES):
            begun = perf_counter()
            assert await loop.differences() == ([], [])
            passes.append(perf_counter() - begun)
        seen["pass"] = min(passes)
        before = process_time()
        await asyncio.sleep(QUIET)
        seen["cpu"] = (process_time() - before) / QUIET * 100
        seen["memory"] = _megabytes()
        return seen


def _megabytes() -> float:
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return resident * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_process(sys.argv[1]))))
