"""The queue/Db heuristic: what one item of the queue makes of the record in the Db. Pure.

Not in the Db: a new task, default action start. In the Db: put it in the wished state if the table allows, else
reject with the reason. A wish changes what is *desired*; the state itself follows when the runtime has got there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from manifests.changes import same_container
from manifests.spec import TaskSpec
from orchestrator.task import (
    NEW_ATTEMPT,
    TRANSITIONS,
    Event,
    Item,
    State,
    Task,
    TransitionRefused,
    advance,
    farewell,
    note,
    register,
    rejection,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The record as the item leaves it (None: there is none) and what the history has to say about it."""

    task: Task | None
    events: tuple[Event, ...] = ()
    accepted: bool = True


def accept(item: Item, known: Task | None, *, now: float, uid: str) -> Verdict:
    """Judge ``item`` against what is known. ``uid`` is for the task, should it be a new one."""
    if item.wish is None:
        return Verdict(known)
    try:
        if known is None:
            if item.spec is None:
                return _rejected(item, known, f"no task {item.task_id!r} is known, and the item brings no spec", now)
            return _begin(item, item.spec, now, uid)
        if item.spec is not None:
            return _apply(item, item.spec, known, now, uid)
        return _wish(item, item.wish, known, now)
    except TransitionRefused as refused:
        return _rejected(item, known, str(refused), now)


def _to_resize(known: Task, spec: TaskSpec) -> tuple[str, ...]:
    """The containers of this attempt that have other limits by ``spec``."""
    before = {one.name: one.resources for one in known.spec.everyone[len(known.spec.init) :]}
    changed = {one.name for one in spec.everyone if before.get(one.name, one.resources) != one.resources}
    return tuple(sorted({*known.resized, *changed} & known.containers.keys()))


def _rejected(item: Item, known: Task | None, why: str, now: float) -> Verdict:
    return Verdict(known, (rejection(item, known, why=why, now=now),), accepted=False)


def _begin(item: Item, spec: TaskSpec, now: float, uid: str, *, version: int = 0) -> Verdict:
    cause = item.cause or "seen for the first time"
    new, seen = register(
        item.task_id, uid, spec, cause=cause, actor=item.actor, now=now, item=item.seq, version=version
    )
    task, start = advance(new, State.SCHEDULED, cause=cause, actor=item.actor, now=now, item=item.seq)
    return Verdict(task, (seen, start))


def _apply(item: Item, spec: TaskSpec, known: Task, now: float, uid: str) -> Verdict:
    resources = [one.resources for one in known.spec.everyone] != [one.resources for one in spec.everyone]
    alike = same_container(known.spec, spec) and not (known.ended and resources)
    if known.forget or (known.state is State.COMPLETED and not alike):
        # Completed leads nowhere, so a new spec under that name is a new task; what is left of the old one has
        # another uid, and reconciling clears it away before the new one starts.
        gone = farewell(known, cause=f"replaced by a new task {item.task_id!r}", actor=item.actor, now=now)
        new = _begin(item, spec, now, uid, version=known.version)
        return Verdict(new.task, (gone, *new.events))
    if alike:
        cause = "its limits are to be others" if resources else "the spec asks for nothing new"
        said = note(known, cause=cause, actor=item.actor, now=now, item=item.seq)
        return Verdict(replace(known, spec=spec, resized=_to_resize(known, spec)), (said,))
    return _restart(replace(known, spec=spec, sandbox_attempt=known.attempt + 1), item, "the spec changed", now)


def _restart(known: Task, item: Item, cause: str, now: float) -> Verdict:
    task, event = advance(
        known,
        State.SCHEDULED,
        cause=item.cause or cause,
        actor=item.actor,
        now=now,
        item=item.seq,
        attempt=known.attempt + 1,
        restarts=0,
        **NEW_ATTEMPT,
        **_AFRESH,
    )
    return Verdict(task, (event,))


_AFRESH: dict[str, Any] = {
    "desired": State.RUNNING,
    "forget": False,
    "swept": False,
    "failures": 0,
    "tries": 0,
    "next_try_at": None,
    "reason": "",
    "message": "",
}


def _wish(item: Item, wish: State, known: Task, now: float) -> Verdict:
    if wish is State.COMPLETED and item.forget and known.ended:
        return _desire(replace(known, forget=True), item, known.state, "to be forgotten", now)
    if wish is State.COMPLETED and known.state is State.FAILED and not known.settled:
        return _desire(known, item, State.FAILED, "no other attempt", now)
    if wish not in TRANSITIONS[known.state]:
        raise TransitionRefused(known, wish)
    match wish:
        case State.SCHEDULED:
            return _restart(known, item, "restart", now)
        case State.RUNNING:
            cause = item.cause or "to be looked at and tried at once"
            task, event = advance(known, known.state, cause=cause, actor=item.actor, now=now, item=item.seq, **_AFRESH)
            return Verdict(task, (event,))
        case State.COMPLETED:
            cause = "to be stopped and forgotten" if item.forget else "to be stopped"
            return _desire(replace(known, forget=known.forget or item.forget), item, wish, cause, now)
        case _:
            return _desire(known, item, wish, "to be given up", now)


def _desire(known: Task, item: Item, desired: State, cause: str, now: float) -> Verdict:
    task = replace(known, desired=desired, next_try_at=None, tries=0, ready=False)
    return Verdict(task, (note(task, cause=item.cause or cause, actor=item.actor, now=now, item=item.seq),))
