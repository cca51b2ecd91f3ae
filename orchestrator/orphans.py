"""Orphans: what the runtime has of this instance that no known task owns, and how it goes.

A store that came out of a backup, say, knows nothing of the tasks that were declared later. The first look that finds
an orphan sets a timer in the queue: it outlives a restart, and it is the only memory there is of when that was. When
it rings, and still no task owns what is there, the worker clears that away. What carries another instance's label is
never seen.
"""

from __future__ import annotations

import time
from builtins import list as list_  # the method of that name hides it inside the class
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cri.runtime import Runtime
from orchestrator.observe import observe_all
from orchestrator.steps import Observed, Phase
from orchestrator.store import Store
from orchestrator.task import Event, EventKind, Item

GRACE = 300.0
"""Seconds that an orphan is left alone when nothing else is configured."""
ORPHANED = "Orphaned"
"""The reason of the line of history that tells of one."""
STOP_GRACE = 10.0
"""Seconds that an orphan's containers get between the stop signal and the kill: its spec is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """What is left of one task that nobody knows."""

    task_id: str
    sandboxes: int
    containers: int
    running: int
    reap_at: float
    """Seconds since the epoch."""


def strangers(there: Mapping[str, Observed], known: Iterable[str]) -> dict[str, Observed]:
    """What is there of tasks that are not known. Pure."""
    owned = set(known)
    return {task_id: seen for task_id, seen in sorted(there.items()) if task_id not in owned}


def timer(task_id: str, at: float, actor: str, cause: str) -> Item:
    """Has the worker clear away what is there of the task, should it not be known at that time."""
    return Item(task_id=task_id, forget=True, not_before=at, actor=actor, cause=cause)


def note(item: Item, seen: Observed, now: float) -> Event:
    """The line of history that says what is cleared away, why, and by whom."""
    uids = list({each.uid for each in seen.sandboxes} | {each.uid for each in seen.containers})
    return Event(
        time=now,
        task_id=item.task_id,
        uid=uids[0] if len(uids) == 1 else "",
        kind=EventKind.NOTE,
        cause=item.cause,
        actor=item.actor,
        reason=ORPHANED,
        message=f"removing {_count(len(seen.sandboxes), 'sandbox', 'es')} and "
        f"{_count(len(seen.containers), 'container', 's')}, {_running(seen)} of them running",
        item=item.seq,
    )


def _count(number: int, noun: str, ending: str) -> str:
    return f"{number} {noun}{'' if number == 1 else ending}"


def _running(seen: Observed) -> int:
    return sum(container.phase is Phase.RUNNING for container in seen.containers)


class Orphans:
    """Those of one instance."""

    def __init__(self, store: Store, runtime: Runtime, grace: float, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._runtime = runtime
        self._grace = grace
        self._clock = clock

    async def list(self) -> list[Orphan]:
        """What is there now, and when it goes. Raises what the runtime raises."""
        there = await observe_all(self._runtime, self._store.instance)
        known = [task.id for task in await self._store.list()]
        due = await self._store.reaping()
        fresh = self._clock() + self._grace
        return [
            Orphan(
                task_id=task_id,
                sandboxes=len(seen.sandboxes),
                containers=len(seen.containers),
                running=_running(seen),
                reap_at=due.get(task_id, fresh),
            )
            for task_id, seen in strangers(there, known).items()
        ]

    async def reap(self, *, actor: str, wait: bool) -> list_[Orphan]:
        """Clear all of it away without a grace; the answer is what there was. ``wait``: until nothing is left of it."""
        found = await self.list()
        now = self._clock()
        cause = "it was asked for, and no known task owns it"
        await self._store.enqueue([timer(one.task_id, now, actor, cause) for one in found])
        left = {one.task_id for one in found} if wait else set()
        while left:
            rung = self._store.changed.next()
            left &= {one.task_id for one in await self.list()}
            if left:
                await rung.wait()
        return found
