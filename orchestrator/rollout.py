"""``plan(declared, tasks, now)``: the items that bring the tasks of one name closer to what was declared. Pure.

Each call starts from the tasks as they are, so nothing has to be remembered between calls. A changed replica is
replaced in place, under its own name. As many as ``max_unavailable`` allows may be down for that; ``max_surge`` more
(``name-surge-0``, …, gone at the end) run by the new spec meanwhile. What is not up anyway is replaced at once, and so
is everything where the new spec restarts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from manifests.changes import same_container
from manifests.spec import TaskSpec
from orchestrator.declaration import Declaration, Progress, again, declare, earlier
from orchestrator.task import Item, State, Task

ACTOR = "rollout"


@dataclass(frozen=True, slots=True)
class Plan:
    """The declaration as it is now known to stand, what to put on the queue, and when the clock alone may change
    that (None: never)."""

    declared: Declaration
    items: tuple[Item, ...] = ()
    look_at: float | None = None


def plan(declared: Declaration, tasks: Sequence[Task], now: float) -> Plan:
    """What to do next for ``declared``, whose ``tasks`` are all those known under its name."""
    declared = _judged(declared, tasks, now)
    here = [task for task in tasks if not task.forget]
    times = [up_at(task) for task in here if is_up(task, up_at(task)) and not is_up(task, now)]
    if declared.progress is Progress.PROGRESSING:
        times.append(declared.since + declared.spec.rollout.deadline)
    return Plan(declared, tuple(_items(declared, here, now)), min(times, default=None))


def up_at(task: Task) -> float:
    """When a task that runs and is ready has been so for long enough."""
    return (task.started_at or 0.0) + task.spec.rollout.min_ready


def is_up(task: Task, now: float) -> bool:
    """It runs and is ready, for long enough, and nobody wants it stopped."""
    wanted = task.state is State.RUNNING and task.ready and task.desired is State.RUNNING
    return wanted and not (task.started_at or 0.0) <= now < up_at(task)  # a clock set back takes nobody down


def has_arrived(task: Task, spec: TaskSpec, now: float) -> bool:
    """It is where ``spec`` wants it: up, or ended as it should."""
    return task.spec == spec and (is_up(task, now) or task.state is State.COMPLETED)


# --- what to do ----------------------------------------------------------------------------------------------


def _items(declared: Declaration, here: Sequence[Task], now: float) -> list[Item]:
    spec = declared.spec
    wanted, extra = dict.fromkeys(spec.task_ids), dict.fromkeys(spec.surge_ids)  # in order, and quick to look up
    surge, unavailable = spec.leeway
    least, most = len(wanted) - unavailable, len(wanted) + surge
    known = {task.id: task for task in here}
    old = [known[one] for one in wanted if one in known and known[one].spec != spec]
    disturbed = {task.id: task for task in old if not same_container(task.spec, spec)}
    up = {task.id for task in here if is_up(task, now)}
    spare = len(up) - least
    """How many of those that are up may go down."""

    removed: dict[str, Task] = {}
    needed = sum(one in up for one in disturbed) if surge else 0
    for task in (task for task in here if task.id not in wanted):
        helps = task.id in extra and task.spec == spec and needed > 0
        if not helps and (task.id not in up or spare > 0):
            removed[task.id] = task
            spare -= task.id in up

    start = {task.id for task in old if task.id not in disturbed}
    # Those that are not up go first: nothing is lost with them.
    for one in sorted(disturbed, key=up.__contains__):
        if one not in up or spare > 0:
            start.add(one)
            spare -= one in up

    room = max(0, most - (len(here) - len(removed)))
    missing = [one for one in wanted if one not in known][:room]
    helpers = sum(task.id in extra and task.id not in removed for task in here)
    more = min(room - len(missing), needed - helpers, surge - helpers)
    start.update(missing, [one for one in extra if one not in known][: max(0, more)])

    cause = f"revision {declared.revision}" if declared.revision > 1 else ""
    return [
        *(Item(task_id=one, wish=State.SCHEDULED, spec=spec, actor=ACTOR, cause=cause) for one in sorted(start)),
        *leaving(removed.values(), actor=ACTOR, cause="no longer asked for"),
    ]


def leaving(tasks: Iterable[Task], *, actor: str, cause: str) -> list[Item]:
    """The items that stop tasks and forget them."""
    return [
        Item(task_id=task.id, wish=State.COMPLETED, forget=True, actor=actor, cause=cause)
        for task in tasks
        if not task.forget
    ]


# --- how it goes ---------------------------------------------------------------------------------------------


def _judged(declared: Declaration, tasks: Sequence[Task], now: float) -> Declaration:
    """``declared`` with what the tasks say of its rollout: further, complete, failed, or rolled back."""
    spec, here = declared.spec, [task for task in tasks if not task.forget]
    wanted = set(spec.task_ids)
    there = sum(task.id in wanted and has_arrived(task, spec, now) for task in here)
    if there == len(wanted) and len(here) == len(wanted):
        *before, last = declared.revisions
        return replace(
            declared,
            progress=Progress.ROLLED_BACK if last.undoes else Progress.COMPLETE,
            message=declared.message if last.undoes else "",
            revisions=(*before, replace(last, good=True)),
            arrived=there,
            serving=False,
        )
    if declared.progress is not Progress.PROGRESSING:
        return declared
    serving = declared.serving or any(is_up(task, now) and not same_container(task.spec, spec) for task in here)
    declared = replace(declared, serving=serving, since=min(declared.since, now))
    arrived = sum(has_arrived(task, spec, now) for task in here)
    if arrived > declared.arrived:
        declared = replace(declared, arrived=arrived, since=now)
    why = _failure(declared, here, now)
    if not why:
        return declared
    declared = replace(declared, message=f"revision {declared.revision} failed: {why}")
    best = earlier(declared) if spec.rollout.rollback and serving and not declared.revisions[-1].undoes else None
    if best is None:
        return replace(declared, progress=Progress.FAILED)
    cause = f"back to revision {best.number}, because {declared.message}"
    return declare(declared, again(declared, best), actor=ACTOR, cause=cause, now=now, undoes=declared.revision)


def _failure(declared: Declaration, here: Sequence[Task], now: float) -> str:
    spec = declared.spec
    for task in here:
        if task.spec == spec and task.state is State.FAILED and task.settled:
            return f"{task.id} failed for good{f': {task.message}' if task.message else ''}"
    deadline = spec.rollout.deadline
    if now - declared.since <= deadline:
        return ""
    late = next((task for task in here if not has_arrived(task, spec, now) and task.spec == spec), None)
    said = f"; {late.id} is {late.state}{f': {late.message}' if late.message else ''}" if late else ""
    return f"nothing got further for {deadline:g} s{said}"
