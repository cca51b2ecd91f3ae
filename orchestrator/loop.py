"""The control loop: compares what is known with what is there, and puts "look again" on the queue where they differ.

It changes nothing itself. Events of the runtime make it quick; the relist, which does not trust them, makes it
right. What carries another instance's label is never seen here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from cri.errors import CRIError, Unimplemented
from cri.events import listen
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from orchestrator.dependencies import unmet
from orchestrator.measure import Measure
from orchestrator.observe import detailed, observe_all
from orchestrator.orphans import strangers, timer
from orchestrator.pods import INSTANCE, TASK
from orchestrator.reconcile import decide
from orchestrator.steps import Observed, Phase, Settled, Wait
from orchestrator.store import Store
from orchestrator.task import Item, State, Task
from orchestrator.worker import Settings

_log = logging.getLogger(__name__)

ACTOR = "loop"
_TELLING = {v1.CONTAINER_STOPPED_EVENT: "stopped", v1.CONTAINER_DELETED_EVENT: "deleted"}
"""The events that happen without our doing; creating and starting is done by the worker, who knows."""
_DEAF_RELIST = 1.0
"""Seconds between relists, at most, where the runtime has no events."""
_SHARE, _LONGEST = 0.02, 3
"""What relists may take of the time, so that ten thousand idle tasks cost little, in up to so many periods."""


def rest(every: float, took: float) -> float:
    """Seconds to wait after a relist that ``took`` so many."""
    return min(max(every, took / _SHARE), _LONGEST * every)


class ControlLoop:
    """Watches one runtime for one store. ``health`` adds what probes found to what was observed."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        settings: Settings,
        *,
        health: Callable[[Observed], Observed] = lambda seen: seen,
        clock: Callable[[], float] = time.time,
        measure: Measure | None = None,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._health = health
        self._every = settings.relist
        self._orphan_grace = settings.orphan_grace
        self._measure = measure or Measure()
        self._clock = clock
        self._relist_now = asyncio.Event()
        self._stirred: dict[str, str] = {}
        self._stir = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="runtime events")
            group.create_task(self._hand_on(), name="events to queue")
            group.create_task(self._relist(), name="relist")

    async def _listen(self) -> None:
        # What happened before the stream was open shows in a relist; it runs while the stream is opening.
        events = listen(self._runtime, opening=self._relist_now.set)
        try:
            async with aclosing(events):
                async for event in events:
                    self._hear(event)
        except Unimplemented:
            self._every = min(self._every, _DEAF_RELIST)
            _log.info("this runtime has no events; looking every %g s instead", self._every)

    def _hear(self, event: v1.ContainerEventResponse) -> None:
        what = _TELLING.get(event.container_event_type)
        for labels in (event.pod_sandbox_status.labels, *(status.labels for status in event.containers_statuses)):
            if what and labels.get(INSTANCE) == self._store.instance and (task_id := labels.get(TASK)):
                self._stirred[task_id] = f"the runtime says: {what}"
                self._stir.set()
                return

    async def _hand_on(self) -> None:
        while True:
            await self._stir.wait()
            self._stir.clear()
            stirred, self._stirred = self._stirred, {}
            await self._ask_to_look([Item(task_id=each, actor=ACTOR, cause=cause) for each, cause in stirred.items()])

    async def _ask_to_look(self, items: Sequence[Item]) -> None:
        if not items:
            return
        try:
            await self._store.enqueue(items)
        except CRIError:
            _log.exception("the queue cannot be written; the next relist sees the same again")

    async def _relist(self) -> None:
        took = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(rest(self._every, took)):
                    await self._relist_now.wait()
            self._relist_now.clear()
            try:
                took = await self._compare()
            except CRIError as error:
                _log.warning("the runtime cannot be listed (%s); trying again in %g s", error, self._every)
            except Exception:  # noqa: BLE001 - logged; it makes everything right in the end, so it must not end itself
                _log.exception("a relist failed; trying again in %g s", self._every)

    async def _compare(self) -> float:
        begun = time.perf_counter()
        found, orphans = await self.differences()
        self._measure.reconciled(took := time.perf_counter() - begun)
        # Who is at a task looks as well; where it goes wrong all the same, the next relist sees it. Else a worker with
        # much to do would find one more look at each task for every relist that passed meanwhile.
        busy = await self._store.busy()
        due, cause = self._clock() + self._orphan_grace, f"no task has owned it for {self._orphan_grace:g} s"
        looks = [Item(task_id=id_, actor=ACTOR, cause="known and observed differ") for id_ in found if id_ not in busy]
        await self._ask_to_look(looks + [timer(task_id, due, ACTOR, cause) for task_id in orphans])
        return took

    async def differences(self) -> tuple[list[str], list[str]]:
        """The tasks about which something is to be done, and those that are there and not known."""
        there = await observe_all(self._runtime, self._store.instance)
        known = await self._store.list()  # after the runtime: a thing is made only once its task is in the Db
        declared = defaultdict[str, list[Task]](list)
        for task in known:
            declared[task.spec.name].append(task)
        now = self._clock()
        found: list[str] = []
        for task in known:
            seen = there.get(task.id, Observed())
            if task.state is State.SCHEDULED:  # for those that run it does not matter, and they are many
                images = frozenset(container.image for container in task.spec.everyone)
                seen = replace(seen, images=images, unmet=unmet(task.spec, declared))
            if not task.ended and any(container.phase is Phase.EXITED for container in seen.containers):
                seen = await detailed(self._runtime, seen)  # one that ended well may be as it should be
            step = decide(task.desired, task, self._health(seen), now)
            if not isinstance(step, Wait) and not (isinstance(step, Settled) and step.swept == task.swept):
                found.append(task.id)
        return found, sorted(strangers(there, (task.id for task in known)))
