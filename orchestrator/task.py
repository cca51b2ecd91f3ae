"""``Task``, its states, the one table of transitions and ``advance()``: the only place where a state changes.

Pure data and pure functions: no clock is read here, nothing is stored and no runtime is called. Times are seconds
since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from manifests.spec import TaskSpec


class State(StrEnum):
    """Where a task stands, and what an item of the queue may wish for it."""

    PENDING = "Pending"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.PENDING: frozenset({State.SCHEDULED, State.COMPLETED}),
        State.SCHEDULED: frozenset({State.SCHEDULED, State.RUNNING, State.FAILED, State.COMPLETED}),
        State.RUNNING: frozenset({State.RUNNING, State.COMPLETED, State.FAILED, State.SCHEDULED}),
        State.FAILED: frozenset({State.SCHEDULED}),
        State.COMPLETED: frozenset(),
    }
)
"""What may follow what. Pending or Scheduled to Completed is a cancel before running; Running or Failed to Scheduled
is a restart; a state that follows itself is a new look or a new try at the same thing."""

WAITING = "Waiting"
"""The reason of a task that waits for others before it is started."""
NOT_READY = "NotReady"
"""The reason of a task that runs and is not ready; the message says what its probes say."""
UNHEALTHY = "Unhealthy"
"""The reason of an attempt that a startup or liveness probe has ended."""

NEW_ATTEMPT: Mapping[str, Any] = MappingProxyType({"containers": {}, "hooked": (), "resized": ()})
"""What of a record is about the attempt under way, as it is before anything was done for it."""

ENDED = frozenset({State.COMPLETED, State.FAILED})
"""The states in which nothing of the task is left to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is known of one task: the record in the Db.

    ``state`` is where it stands, ``desired`` where it should come to: Running until someone stops it or its restart
    policy gives up. ``uid`` tells tasks apart that had the same ``id`` one after the other.
    """

    id: str
    uid: str
    spec: TaskSpec
    state: State = State.PENDING
    desired: State = State.RUNNING
    forget: bool = False
    """The record vanishes once the task has ended and nothing of it is left in the runtime."""
    attempt: int = 0
    """Counts starts, from 0; a restart is the next attempt."""
    sandbox_attempt: int = 0
    """A sandbox made for an earlier attempt than this one is out of date (the spec changed since)."""
    restarts: int = 0
    """Restarts by policy since the last start that someone asked for."""
    failures: int = 0
    """Attempts in a row that did not last; they make the backoff grow."""
    tries: int = 0
    """Calls to the runtime that failed during this attempt; they make the wait before the next one grow."""
    sandbox_id: str = ""
    containers: Mapping[str, str] = field(default_factory=dict)
    """Ids of this attempt's containers by name: each is written down before it is started."""
    hooked: tuple[str, ...] = ()
    """The containers of this attempt whose post_start hook has run."""
    resized: tuple[str, ...] = ()
    """The containers of this attempt whose limits are to be changed while they run."""
    ready: bool = False
    """It runs, and its probes have nothing against it."""
    swept: bool = False
    """It has ended, and nothing of it is left in the runtime."""
    exit_code: int | None = None
    reason: str = ""
    """Why it is where it is, in one CamelCase word that programs can rely on."""
    message: str = ""
    """The same for a person."""
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    next_try_at: float | None = None
    version: int = 0
    """Grows by one with every write; a write that was decided on an older version is refused."""

    @property
    def container_id(self) -> str:
        """The main container's; empty while there is none."""
        return self.containers.get(self.spec.name, "")

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def settled(self) -> bool:
        """It has ended for good: no other attempt is to follow."""
        return self.ended and self.desired is not State.RUNNING


class EventKind(StrEnum):
    """What a line of the history tells."""

    TRANSITION = "transition"
    REJECTED = "rejected"
    NOTE = "note"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the history: what happened to a task, when, why and by whom.

    A transition has ``source`` (None: the task was new) and ``target``. A rejection has the state the task kept as
    ``source``, the refused wish as ``target`` and the reason in ``message``. ``item`` is the item of the queue that
    caused the line, 0 for none. ``seq`` is given by the store and grows without repetition.
    """

    seq: int = 0
    time: float
    task_id: str
    uid: str
    kind: EventKind
    source: State | None = None
    target: State | None = None
    cause: str = ""
    actor: str = ""
    reason: str = ""
    message: str = ""
    attempt: int = 0
    exit_code: int | None = None
    item: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of the queue: "put task t in state s".

    ``wish`` Scheduled starts or restarts, Running sees to it that it runs, Completed stops, Failed gives up. No wish
    (None) means "look again at t, the known desired state stands"; the control loop and timers make these. With
    ``forget``, a look also clears away what there is of a task that nobody knows.
    ``spec`` comes with a task that is new or changed. ``not_before`` makes the item a durable timer.
    """

    seq: int = 0
    task_id: str
    wish: State | None = None
    spec: TaskSpec | None = None
    forget: bool = False
    not_before: float = 0.0
    actor: str = ""
    cause: str = ""


class TransitionRefused(Exception):
    """The table does not allow it. ``task`` kept its state."""

    def __init__(self, task: Task, to: State) -> None:
        self.task = task
        self.source = task.state
        self.to = to
        self.allowed = tuple(state for state in State if state in TRANSITIONS[task.state])
        allowed = " or ".join(self.allowed) if self.allowed else "nothing"
        super().__init__(
            f"task {task.id!r} is {task.state} and cannot become {to}; from {task.state} follows {allowed}"
        )


def advance(
    task: Task, to: State, *, cause: str, actor: str, now: float, item: int = 0, **changes: Any
) -> tuple[Task, Event]:
    """``task`` in state ``to``, with ``changes`` to its other fields, and the line of history that says so.

    Raises TransitionRefused when the table has no such transition.
    """
    if to not in TRANSITIONS[task.state]:
        raise TransitionRefused(task, to)
    if to is not State.RUNNING:
        changes["ready"] = False
    after = replace(task, state=to, **changes)
    return after, _event(after, EventKind.TRANSITION, now, cause, actor, item, source=task.state, target=to)


def register(
    task_id: str, uid: str, spec: TaskSpec, *, cause: str, actor: str, now: float, item: int = 0, version: int = 0
) -> tuple[Task, Event]:
    """A task seen for the first time: Pending. ``version`` is that of the record it takes the place of."""
    task = Task(id=task_id, uid=uid, spec=spec, created_at=now, version=version)
    return task, _event(task, EventKind.TRANSITION, now, cause, actor, item, target=State.PENDING)


def note(task: Task, *, cause: str, actor: str, now: float, item: int = 0) -> Event:
    """A line of history about something that changed no state."""
    return _event(task, EventKind.NOTE, now, cause, actor, item, source=task.state)


def farewell(task: Task, *, cause: str, actor: str, now: float) -> Event:
    """The last line of a task whose record vanishes."""
    return _event(task, EventKind.FORGOTTEN, now, cause, actor, 0, source=task.state)


def rejection(item: Item, known: Task | None, *, why: str, now: float) -> Event:
    """The line that keeps a refused wish from being lost silently."""
    return Event(
        time=now,
        task_id=item.task_id,
        uid=known.uid if known else "",
        kind=EventKind.REJECTED,
        source=known.state if known else None,
        target=item.wish,
        cause=item.cause,
        actor=item.actor,
        reason="Rejected",
        message=why,
        attempt=known.attempt if known else 0,
        item=item.seq,
    )


def _event(
    task: Task,
    kind: EventKind,
    now: float,
    cause: str,
    actor: str,
    item: int,
    *,
    source: State | None = None,
    target: State | None = None,
) -> Event:
    return Event(
        time=now,
        task_id=task.id,
        uid=task.uid,
        kind=kind,
        source=source,
        target=target,
        cause=cause,
        actor=actor,
        reason=task.reason,
        message=task.message,
        attempt=task.attempt,
        exit_code=task.exit_code,
        item=item,
    )
