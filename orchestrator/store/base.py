"""``Store``: queue, Db and history as the rest of the orchestrator sees them, and the errors of every store.

The shape asks for nothing that a shared database cannot give: claims that other workers skip (SKIP LOCKED), one
transaction for an outcome, and being woken instead of polling (LISTEN/NOTIFY).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cri.errors import Aborted, DataLoss, FailedPrecondition, Internal, OutOfRange, ResourceExhausted
from cri.image_collection import Pulled
from orchestrator.declaration import Declaration
from orchestrator.task import Event, Item, State, Task


class Conflict(Aborted):
    """The record is no longer the one that the decision was made on. Read again, decide again."""

    reason = "TASK_CONFLICT"


class HistoryTrimmed(OutOfRange):
    """The lines asked for are no longer kept. Look at the tasks as they are now, and go on from there."""

    reason = "HISTORY_TRIMMED"


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


HISTORY = 100_000
"""Lines of history that a store keeps when it is told nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one piece of work changes, all of it or nothing.

    ``task``, and each of ``declared``, is written if the record's version is the one before its own (0: there must be
    none). ``forgotten``, and each of ``undeclared``, is deleted if the record has exactly its version. ``done`` are
    items to take off the queue, ``rewritten`` are items of the caller's to change in place (they stay claimed),
    ``follow`` are items to add or, where they have a number, to hand back.
    """

    task: Task | None = None
    forgotten: Task | None = None
    declared: tuple[Declaration, ...] = ()
    undeclared: tuple[Declaration, ...] = ()
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
    queue has something new, ``changed`` when the history has; ``stirred`` are the declared names whose tasks or
    declarations changed since somebody emptied it. Of the history the newest ``history`` lines are kept.
    """

    instance: str

    def __init__(self, *, history: int = HISTORY) -> None:
        self._kept = history
        self.queued = Bell()
        self.changed = Bell()
        self.stirred: set[str] = set()

    async def aclose(self) -> None:  # noqa: B027 - a store that holds nothing has nothing to free
        """Free what is held. Safe to call twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    # --- the queue ------------------------------------------------------------------------------------------

    @abstractmethod
    async def enqueue(self, items: Sequence[Item]) -> list[int]:
        """Add items in order; the answer is their numbers. A look at a task (no wish) that already waits in the
        queue is not added again: an earlier one takes the place of the waiting one, whose number is answered. Looks
        that forget and looks that do not are not taken for each other."""

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

    @abstractmethod
    async def busy(self) -> set[str]:
        """The tasks of which some worker holds an item."""

    @abstractmethod
    async def reaping(self) -> Mapping[str, float]:
        """When each task that such a look waits for is forgotten, should nobody know it."""

    # --- what is declared -----------------------------------------------------------------------------------

    @abstractmethod
    async def declarations(self) -> list[Declaration]:
        """All of them, by name."""

    @abstractmethod
    async def declaration(self, name: str) -> Declaration | None:
        """The one of that name."""

    @abstractmethod
    async def dependents(self, name: str) -> list[str]:
        """The tasks, by id, that are yet to be started and depend on ``name``."""

    @abstractmethod
    async def named(self, name: str) -> list[Task]:
        """The tasks known under a declared name, by id."""

    # --- the Db and the history -----------------------------------------------------------------------------

    @abstractmethod
    async def commit(self, outcome: Outcome) -> Sequence[int]:
        """Write an outcome in one transaction; the answer is the numbers of the items that follow. Raises Conflict
        when a record has moved on."""

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
        self, after: int | None = None, *, task_id: str | None = None, limit: int = 1000, newest: bool = False
    ) -> Sequence[Event]:
        """The first ``limit`` lines after number ``after`` (``newest``: the last), oldest first.

        Without ``after`` it begins with the oldest line there is. Raises HistoryTrimmed when the line that follows
        ``after`` is no longer kept.
        """

    @abstractmethod
    async def pulled_images(self) -> Sequence[Pulled]:
        """The images that were pulled for tasks."""

    @abstractmethod
    async def keep_images(self, changed: Sequence[Pulled], *, dropped: Sequence[str] = ()) -> None:
        """Write these, and delete those with the ids ``dropped``."""

    @abstractmethod
    async def last_seq(self) -> int:
        """The number of the newest line of history; 0 when there is none."""


def check_kept(after: int | None, oldest: int) -> None:
    """Raises HistoryTrimmed when the history, which begins with line ``oldest``, has a gap behind line ``after``."""
    if after is not None and after < oldest - 1:
        raise HistoryTrimmed(
            f"after: the history no longer has the lines between {after} and {oldest}, the oldest one kept; "
            "look at the tasks as they are now and go on from there"
        )
