"""What a relist puts on the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from manifests.spec import TaskSpec
from orchestrator.loop import ControlLoop, rest
from orchestrator.measure import Measure
from orchestrator.store import MemoryStore, Outcome, Store
from orchestrator.task import Item, Task
from orchestrator.worker import Settings
from tests.orchestrator.engine import Engine

AT_ONCE = 0.001
"""Seconds between relists."""


class Relists(Measure):
    """Counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: asyncio.Queue[float] = asyncio.Queue()

    def reconciled(self, seconds: float) -> None:
        self.seen.put_nowait(seconds)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """It knows of a task that ought to run, and of which there is nothing."""
    async with MemoryStore() as made:
        spec = TaskSpec.model_validate({"name": "web", "image": "busybox"})
        await made.commit(Outcome(task=Task(id="web", uid="u", spec=spec, version=1)))
        yield made


async def relisted(store: Store, times: int) -> None:
    measure = Relists()
    running = asyncio.create_task(ControlLoop(store, Engine(), Settings(relist=AT_ONCE), measure=measure).run())
    try:
        async with asyncio.timeout(60):
            for _ in range(times + 1):  # the last of them may have put nothing down yet
                await measure.seen.get()
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_a_task_that_differs_is_looked_at_once_however_often_that_is_seen(store: Store) -> None:
    await relisted(store, 5)
    assert [item.task_id for item in await store.claim("w", 0.0, 10)] == ["web"]


async def test_who_is_at_a_task_already_is_not_asked_again(store: Store) -> None:
    await store.enqueue([Item(task_id="web")])
    await store.claim("w", 0.0, 10)
    await relisted(store, 5)
    assert await store.depth() == 1


async def test_what_still_differs_when_nobody_is_at_it_any_more_is_looked_at(store: Store) -> None:
    (number,) = await store.enqueue([Item(task_id="web")])
    await store.claim("w", 0.0, 10)
    await relisted(store, 1)
    await store.commit(Outcome(done=(number,)))
    await relisted(store, 1)
    assert [item.task_id for item in await store.claim("w", 0.0, 10)] == ["web"]


@pytest.mark.parametrize(
    ("took", "seconds"),
    [(0.0, 10.0), (0.2, 10.0), (0.4, 20.0), (60.0, 30.0)],
    ids=["nothing", "a fiftieth", "more", "for ever"],
)
def test_a_relist_that_takes_long_is_followed_by_a_rest_of_fifty_times_that_and_at_most_three_periods(
    took: float, seconds: float
) -> None:
    assert rest(10.0, took) == pytest.approx(seconds)
