"""From the runtime's own event of an exit to the line of history that records it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from benchmarks.result import Absent, Result, spread
from benchmarks.starts import orchestrating, sleeper
from cri.errors import CRIError
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from orchestrator.control import Orchestrator
from orchestrator.task import State

EXITS = {"fake": 100, "docker": 15}
GOAL_MS = 50.0
OPENING = 0.5
"""Seconds until a stream of events is open for certain; nothing tells when."""
PATIENCE = 10.0


async def run() -> AsyncIterator[Result]:
    for runtime, number in EXITS.items():
        try:
            async with orchestrating(runtime) as (orchestrator, engine), _ears(engine) as heard:
                seconds = [await _exit(orchestrator, engine, heard, f"exit-{at}") for at in range(number)]
        except CRIError as error:
            raise Absent(f"{runtime}: {error.message}") from error
        for result in spread(f"exit to recorded, {runtime}, beyond its event", seconds, goal_ms=GOAL_MS):
            yield result


Heard = dict[str, asyncio.Future[float]]
"""When each container's end was told, by the container's id."""


@asynccontextmanager
async def _ears(engine: Runtime) -> AsyncIterator[Heard]:
    heard: Heard = defaultdict(asyncio.get_running_loop().create_future)

    async def listen() -> None:
        async for event in engine.get_container_events(v1.GetEventsRequest()):
            told = heard[event.container_id]
            if event.container_event_type == v1.CONTAINER_STOPPED_EVENT and not told.done():
                told.set_result(perf_counter())

    listening = asyncio.create_task(listen())
    try:
        await asyncio.wait({listening}, timeout=OPENING)
        if listening.done():
            listening.result()
        yield heard
    finally:
        listening.cancel()
        await asyncio.wait({listening})


async def _exit(orchestrator: Orchestrator, engine: Runtime, heard: Heard, name: str) -> float:
    await orchestrator.submit([sleeper(name)], actor="bench")
    running = await orchestrator.wait(name, {State.RUNNING})
    assert running is not None
    recorded = asyncio.create_task(_recorded(orchestrator, name))
    await engine.stop_container(v1.StopContainerRequest(container_id=running.container_id, timeout=0))
    async with asyncio.timeout(PATIENCE):
        return await recorded - await heard[running.container_id]


async def _recorded(orchestrator: Orchestrator, name: str) -> float:
    await orchestrator.wait(name, {State.FAILED, State.COMPLETED})
    return perf_counter()
