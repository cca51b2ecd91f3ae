"""Twenty tasks from apply to all running: on native, and on others beside the engine's own ``run -d`` in a loop, eight
at a time.

These two take turns. A task is more than what ``run -d`` makes: its container lives in a sandbox of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from time import perf_counter

from benchmarks.result import Absent, Result, percentile
from benchmarks.starts import orchestrating, sleeper
from cri.errors import CRIError
from orchestrator.control import Orchestrator
from orchestrator.task import State
from tests.host.errors import Unavailable
from tests.host.native import private_native

TASKS = 20
AT_ONCE = 8
ROUNDS = 5
GOAL = 1.0
NATIVE_GOAL_S = 1.0

LOOPS = {"docker": ("docker",), "podman": ("podman", "--remote")}
REMOVAL = {"docker": ("rm", "-f"), "podman": ("rm", "-f", "--time", "0")}
"""Podman's waits ten seconds for each that does not heed SIGTERM, as no first process does that has no handler."""


async def run() -> AsyncIterator[Result]:
    absent: list[str] = []
    measures: dict[str, Callable[[], Awaitable[list[Result]]]] = {"native": _native}
    measures |= {name: partial(_beside, name) for name in LOOPS}
    for runtime, measure in measures.items():
        try:
            results = await measure()
        except (CRIError, FileNotFoundError, Unavailable) as error:
            absent.append(f"{runtime}: {error}")
        else:
            for result in results:
                yield result
    if absent:
        raise Absent("; ".join(absent))


async def _beside(runtime: str) -> list[Result]:
    program = LOOPS[runtime]
    async with orchestrating(runtime) as (orchestrator, _):
        ours, loops = [], []
        for number in range(ROUNDS):
            ours.append(await _applied(orchestrator, f"apply-{number}"))
            loops.append(await _looped(program, f"minicri-bench-{os.getpid()}-{number}"))
    mine, theirs = percentile(ours, 50), percentile(loops, 50)
    return [
        Result(what=f"{TASKS} tasks from apply to running, {runtime}", value=mine, unit="s"),
        Result(what=f"{TASKS} times {' '.join(program)} run -d, {AT_ONCE} at once", value=theirs, unit="s"),
        Result(what=f"the tasks as a multiple of that, {runtime}", value=mine / theirs, unit="x", goal=GOAL),
    ]


async def _native() -> list[Result]:
    with private_native(pulls=False) as options:
        async with orchestrating("native", **options) as (orchestrator, _):
            seconds = [await _applied(orchestrator, f"apply-{number}") for number in range(ROUNDS)]
    what = f"{TASKS} tasks from apply to running, native"
    return [Result(what=what, value=percentile(seconds, 50), unit="s", goal=NATIVE_GOAL_S)]


async def _applied(orchestrator: Orchestrator, name: str) -> float:
    specs = [sleeper(f"{name}-{number}") for number in range(TASKS)]
    begun = perf_counter()
    await orchestrator.submit(specs, actor="bench")
    for spec in specs:
        await orchestrator.wait(spec.name, {State.RUNNING})
    seconds = perf_counter() - begun
    await orchestrator.stop_all(forget=True, actor="bench")
    return seconds


async def _looped(program: tuple[str, ...], name: str) -> float:
    names = [f"{name}-{number}" for number in range(TASKS)]
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(each: str) -> None:
        async with slots:
            await _command(*program, "run", "-d", "--name", each, "busybox", "sleep", "1000")

    try:
        begun = perf_counter()
        await asyncio.gather(*map(one, names))
        return perf_counter() - begun
    finally:
        await _command(*program, *REMOVAL[program[0]], *names)


async def _command(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        raise Absent(f"{' '.join(words[:3])} … failed: {said.decode(errors='replace').strip()}")
