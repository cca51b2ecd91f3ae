"""The worker: claims items from the queue and has one ``Work`` for each task they name, never two.

Whatever it holds when it dies is still in the queue, and what it did is seen again in the runtime, so another worker
goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass

from cri.streaming.transport import cancel
from orchestrator.measure import Measure
from orchestrator.observe import Looker
from orchestrator.orphans import GRACE
from orchestrator.perform import Performer
from orchestrator.prober import Prober
from orchestrator.steps import Effect, PullImage, StopContainers
from orchestrator.store import Store
from orchestrator.task import Item, State
from orchestrator.work import Work

_log = logging.getLogger(__name__)

_CLAIM = 256
_LONGEST_SLEEP = 60.0
"""Timers are looked at again at least this often, so a clock that was set does not delay them for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How worker and loop go about it. Times in seconds."""

    steps: int = 16
    """How many calls to the runtime are under way at once, pulls and stops apart."""
    pulls: int = 4
    """How many images are pulled at once."""
    relist: float = 10.0
    """How often everything is looked at again, events or not."""
    orphan_grace: float = GRACE
    """How long what no known task owns is left alone before it is removed."""
    retry_backoff: float = 0.5
    """Wait after a call that failed but may succeed later; doubled each time."""
    retry_max: float = 10.0
    """The longest such wait."""
    step_timeout: float = 120.0
    """How long one call to the runtime may take; a stop gets its grace on top, a pull has no limit."""
    drain: float = 10.0
    """How long calls under way may go on when the orchestrator is closed."""


class Worker:
    """Works the queue until it is closed. ``name`` tells its claims from another worker's."""

    def __init__(
        self,
        store: Store,
        performer: Performer,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        measure: Measure | None = None,
    ) -> None:
        self.store = store
        self.performer = performer
        self.looker = Looker(performer.runtime, performer.instance)
        self.prober = Prober(performer.runtime, self._look_again, measure, performer.secrets)
        self.settings = settings
        self.clock = clock
        self.name = uuid.uuid4().hex
        self.draining = False
        self._pulls = asyncio.Semaphore(settings.pulls)
        self._steps = asyncio.Semaphore(settings.steps)
        self._works: dict[str, tuple[Work, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Claim and hand out until cancelled."""
        for task in await self.store.list(states={State.RUNNING}):
            self.prober.mind(task.id, task)
        while True:
            try:
                await self._claim_and_wait()
            except Exception:  # noqa: BLE001 - logged; without this loop nothing would ever be worked on again
                _log.exception("the queue cannot be read; trying again in %g s", self.settings.retry_max)
                await asyncio.sleep(self.settings.retry_max)

    async def _claim_and_wait(self) -> None:
        rung = self.store.queued.next()
        items = await self.store.claim(self.name, self.clock(), _CLAIM)
        for item in items:
            self._hand(item)
        if len(items) == _CLAIM:
            return
        due = await self.store.next_due(self.clock())
        pause = _LONGEST_SLEEP if due is None else min(_LONGEST_SLEEP, max(0.0, due - self.clock()))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await rung.wait()

    async def _look_again(self, task_id: str, cause: str) -> None:
        await self.store.enqueue([Item(task_id=task_id, actor="prober", cause=cause)])

    def _hand(self, item: Item) -> None:
        if item.task_id not in self._works:
            work = Work(self, item.task_id)
            work.hear(item)
            job = asyncio.create_task(work.run(), name=f"task {item.task_id}")
            self._works[item.task_id] = (work, job)
        else:
            self._works[item.task_id][0].hear(item)

    @property
    def under_way(self) -> int:
        """How many tasks are being worked on."""
        return len(self._works)

    def done(self, task_id: str) -> None:
        """Called by a work that has nothing left to do."""
        del self._works[task_id]

    async def drain(self) -> None:
        """Let the steps under way finish, for a while; start no others. What is not done stays in the queue."""
        self.draining = True
        for work, _ in self._works.values():
            work.news.set()
        jobs = [job for _, job in self._works.values()]
        if jobs:
            _, late = await asyncio.wait(jobs, timeout=self.settings.drain)
            await cancel(*late)
        await self.prober.aclose()
        await self.looker.aclose()
        await self.store.release(self.name)

    def slot(self, step: Effect) -> AbstractAsyncContextManager[None]:
        """The right to have one more such call under way. A stop mostly waits out its grace, so it needs none."""
        if isinstance(step, StopContainers):
            return nullcontext()
        return self._pulls if isinstance(step, PullImage) else self._steps

    def limit(self, step: Effect) -> float | None:
        """Seconds that the step may take."""
        if isinstance(step, PullImage):
            return None
        return self.settings.step_timeout + (step.grace if isinstance(step, StopContainers) else 0.0)
