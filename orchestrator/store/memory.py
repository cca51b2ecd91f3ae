"""A store that lives as long as the process: for ``minicri run``, for tests, and as the plainest statement of what a
store does."""

from __future__ import annotations

import uuid
from builtins import list as list_  # the method of that name hides it inside the class
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from orchestrator.store.base import Conflict, Outcome, Store, matches
from orchestrator.task import Event, Item, State, Task


class MemoryStore(Store):
    """Queue, Db and history in three containers. No await between a check and its write: each method is atomic."""

    def __init__(self, instance: str | None = None) -> None:
        super().__init__()
        self.instance = instance or uuid.uuid4().hex[:12]
        self._queue: dict[int, Item] = {}
        self._by_task: dict[str, set[int]] = {}
        self._claims: dict[int, str] = {}
        self._tasks: dict[str, Task] = {}
        self._events: list_[Event] = []
        self._last_item = 0

    async def enqueue(self, items: Sequence[Item]) -> list_[int]:
        numbers = [self._put(item) for item in items]
        self.queued.ring()
        return numbers

    def _put(self, item: Item) -> int:
        """Add an item, or hand one back; looks at one task fold into one."""
        self._claims.pop(item.seq, None)
        waiting = self._waiting_look(item) if item.wish is None else None
        if waiting is not None:
            self._drop(item.seq)
            item = replace(waiting, not_before=min(waiting.not_before, item.not_before))
        elif not item.seq:
            self._last_item += 1
            item = replace(item, seq=self._last_item)
        self._queue[item.seq] = item
        self._by_task.setdefault(item.task_id, set()).add(item.seq)
        return item.seq

    def _drop(self, seq: int) -> None:
        self._claims.pop(seq, None)
        item = self._queue.pop(seq, None)
        if item is not None:
            self._by_task[item.task_id].discard(seq)
            if not self._by_task[item.task_id]:
                del self._by_task[item.task_id]

    def _waiting_look(self, item: Item) -> Item | None:
        for seq in self._by_task.get(item.task_id, ()):
            other = self._queue[seq]
            if other.wish is None and seq != item.seq and seq not in self._claims:
                return other
        return None

    async def claim(self, worker: str, now: float, limit: int) -> list_[Item]:
        taken = {self._queue[seq].task_id for seq, owner in self._claims.items() if owner != worker}
        due = [
            item
            for _, item in sorted(self._queue.items())
            if item.not_before <= now and item.seq not in self._claims and item.task_id not in taken
        ][:limit]
        self._claims.update((item.seq, worker) for item in due)
        return due

    async def release(self, worker: str) -> None:
        self._claims = {seq: owner for seq, owner in self._claims.items() if owner != worker}
        self.queued.ring()

    async def next_due(self, now: float) -> float | None:
        return min((i.not_before for i in self._queue.values() if i.not_before > now), default=None)

    async def depth(self) -> int:
        return len(self._queue)

    async def commit(self, outcome: Outcome) -> None:
        if outcome.task is not None:
            self._check(outcome.task.id, outcome.task.version - 1)
        if outcome.forgotten is not None:
            self._check(outcome.forgotten.id, outcome.forgotten.version)
        if outcome.task is not None:
            self._tasks[outcome.task.id] = outcome.task
        if outcome.forgotten is not None:
            del self._tasks[outcome.forgotten.id]
        for seq in outcome.done:
            self._drop(seq)
        for item in outcome.rewritten:
            self._queue[item.seq] = item
        for item in outcome.follow:
            self._put(item)
        seq = len(self._events)
        self._events += [replace(event, seq=seq + number) for number, event in enumerate(outcome.events, 1)]
        if outcome.follow:
            self.queued.ring()
        self.changed.ring()

    def _check(self, task_id: str, expected: int) -> None:
        known = self._tasks.get(task_id)
        if (known.version if known else 0) != expected:
            found = known.version if known else "no record"
            raise Conflict(f"task {task_id!r}: decided on version {expected}, found {found}")

    async def get(self, task_id: str) -> Task | None:
        return self._tasks.get(task_id)

    async def list(
        self, *, labels: Mapping[str, str] | None = None, states: Collection[State] | None = None
    ) -> list_[Task]:
        return [
            task
            for _, task in sorted(self._tasks.items())
            if (states is None or task.state in states) and matches(task, labels)
        ]

    async def history(
        self, after: int = 0, *, task_id: str | None = None, limit: int = 1000, newest: bool = False
    ) -> Sequence[Event]:
        later = range(after, len(self._events))
        events = (self._events[index] for index in (reversed(later) if newest else later))
        found = list_(islice((event for event in events if task_id in (None, event.task_id)), limit))
        return found[::-1] if newest else found

    async def last_seq(self) -> int:
        return len(self._events)
