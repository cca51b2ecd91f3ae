"""The lives of sandboxes and containers by several ways, side by side, step by step."""

from __future__ import annotations

import asyncio
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import count
from time import perf_counter
from typing import TypeVar

from benchmarks.ways import Way

WARM_UP = 1

T = TypeVar("T")
_numbers = count()


class Clock:
    """The seconds that each step took, with a step ``life`` for the whole batch."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    async def time(self, step: str, work: Awaitable[T]) -> T:
        begun = perf_counter()
        done = await work
        self.seconds[step].append(perf_counter() - begun)
        return done

    def median(self, step: str) -> float:
        return statistics.median(self.seconds[step])


async def side_by_side(
    ways: dict[str, Way], lives: Callable[[Way, Clock, int], Awaitable[None]], at_once: int, rounds: int
) -> dict[str, Clock]:
    """Each way in turn, beginning with another one in each round, so that the machine's noise falls on all."""
    clocks = {name: Clock() for name in ways}
    names = list(ways)
    for number in range(WARM_UP + rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            await lives(ways[name], clocks[name] if number >= WARM_UP else Clock(), at_once)
    return clocks


async def sandboxes(way: Way, clock: Clock, at_once: int) -> None:
    async def life() -> None:
        sandbox_id = await clock.time("run", way.run_sandbox(f"box-{next(_numbers)}"))
        await clock.time("stop", way.stop_sandbox(sandbox_id))
        await clock.time("remove", way.remove_sandbox(sandbox_id))

    await clock.time("life", _all(life, at_once))


async def containers(way: Way, clock: Clock, at_once: int) -> None:
    async def life() -> None:
        container_id = await clock.time("create", way.create(sandbox_id, f"c-{next(_numbers)}"))
        await clock.time("start", way.start(container_id))
        await clock.time("stop", way.stop(container_id))
        await clock.time("remove", way.remove(container_id))

    sandbox_id = await way.run_sandbox(f"box-{next(_numbers)}")
    await clock.time("life", _all(life, at_once))
    await way.remove_sandbox(sandbox_id)


async def _all(life: Callable[[], Awaitable[None]], at_once: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(_as_coroutine(life))


async def _as_coroutine(life: Callable[[], Awaitable[None]]) -> None:
    await life()
