"""``Store``: queue, Db and history as the rest of the orchestrator sees them, and the errors of every store.

The shape asks for nothing that a shared database cannot give: claims that other workers skip (SKIP LOCKED), one
transaction for an outcome, and being woken instead of polling (LISTEN/NOTIFY).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cri.errors import Aborted, DataLoss, FailedPrecondition, Internal, ResourceExhausted
from orchestrator.task import Event, Item, State, Task


class Conflict(Aborted):
    """The record is no longer the one that the decision was made on. Read again, decide again."""

    reason = "TASK_CONFLICT"


class StateLocked(FailedPrecondition):
    """Another process owns the state directory; the message names its pid."""

    reason = "STATE_LOCKED"


class StateTooNew(FailedPrecondition):
    """A newer version of minicri wrote the state; this one does not understand it and leaves it alone."""

    reason = "STATE_TOO_NEW"


class StateDamaged(DataLoss):
    """The stored state cannot be read."""

    reason = "STATE_DAMAGED"


class StateFull(ResourceExhausted):
    """There was no room to write; nothing of the refused write is kept."""

    reason = "STATE_FULL"


class StateUnwritable(Internal):
    """The state could not be written for another reason; nothing of the refused write is kept."""

    reason = "STATE_UNWRITABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one piece of work changes, all of it or nothing.

    ``task`` is written if the record's version is ``task.version - 1`` (0: there must be none). ``forgotten`` is
    deleted if the record has exactly its version. ``done`` are items to take off the queue, ``rewritten`` are items
    of the caller's to change in place (they stay claimed), ``follow`` are items to add or, where they have a number,
    to hand back.
    """

    task: Task | None = None
    forgotten: Task | None = None
    events: tuple[Event, ...] = ()
    done: tuple[int, ...] = ()
    rewritten: tuple[Item, ...] = ()
    follow: tuple[Item, ...] = ()


class Bell:
    """Wakes whoever took an event from it. Take first, then read, then wait: nothing rings unheard in between."""

    def __init__(self) -> None:
        self._next: asyncio.Event | None = None

    def next(self) -> asyncio.Event:
        if self._next is None:
            self._next = asyncio.Event()
        return self._next

    def ring(self) -> None:
        if self._next is not None:
            self._next.set()
            self._next = None


class Store(ABC):
    """Queue, Db and history. Every method either did all it says or raised and did nothing.

    ``instance`` is this orchestrator's name in labels; it lives as long as the state does. ``queued`` rings when the
    queue has something new, ``changed`` when the history has.
    """

    instance: str

    def __init__(self) -> None:
        self.queued = Bell()
        self.changed = Bell()

    async def aclose(self) -> None:  # noqa: B027 - a store that holds nothing has nothing to free
        """Free what is held. Safe to call twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- the queue ------------------------------------------------------------------------------------------

    @abstractmethod
    async def enqueue(self, items: Sequence[Item]) -> list[int]:
        """Add items in order; the answer is their numbers. A look at a task (no wish) that already waits in the
        queue is not added again: the waiting one is moved to the earlier time and its number is answered."""

    @abstractmethod
    async def claim(self, worker: str, now: float, limit: int) -> list[Item]:
        """Up to ``limit`` due items, oldest first, for ``worker`` alone. While a worker holds an item of a task, no
        other worker gets one of that task; it may claim further ones itself."""

    @abstractmethod
    async def release(self, worker: str) -> None:
        """Hand back whatever ``worker`` holds."""

    @abstractmethod
    async def next_due(self, now: float) -> float | None:
        """When the next item after ``now`` becomes due; None when no timer is set."""

    @abstractmethod
    async def depth(self) -> int:
        """How many items the queue has."""

    # --- the Db and the history -----------------------------------------------------------------------------

    @abstractmethod
    async def commit(self, outcome: Outcome) -> None:
        """Write an outcome in one transaction. Raises Conflict when the record has moved on."""

    @abstractmethod
    async def get(self, task_id: str) -> Task | None:
        """The record of a task."""

    @abstractmethod
    async def list(
        self, *, labels: Mapping[str, str] | None = None, states: Collection[State] | None = None
    ) -> list[Task]:
        """The records that have all ``labels`` and one of ``states``, by id."""

    @abstractmethod
    async def history(
        self, after: int = 0, *, task_id: str | None = None, limit: int = 1000, newest: bool = False
    ) -> Sequence[Event]:
        """The first ``limit`` lines after number ``after`` (``newest``: the last), oldest first."""

    @abstractmethod
    async def last_seq(self) -> int:
        """The number of the newest line of history; 0 when there is none."""


def matches(task: Task, labels: Mapping[str, str] | None) -> bool:
    """Whether the task has all of ``labels``."""
    return not labels or all(task.spec.labels.get(key) == value for key, value in labels.items())
