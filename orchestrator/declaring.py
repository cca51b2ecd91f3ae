"""``Declarer``: takes what is to be declared, and sees to it that the tasks follow.

It writes declarations and puts items on the queue, both in one transaction; which items is ``rollout.plan``'s to say.
Its loop looks again at a name whenever a task of that name changes, or when the clock alone may have changed something.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from pydantic import ValidationError

from cri.errors import FailedPrecondition, InvalidArgument, NotFound
from cri.fields import problems
from manifests.changes import cycle, differences, same_container
from manifests.spec import TaskSpec
from orchestrator.declaration import Declaration, Progress, again, declare, earlier
from orchestrator.rollout import Plan, leaving, plan
from orchestrator.store import Outcome, Store
from orchestrator.task import Event, EventKind, Item, Task

_log = logging.getLogger(__name__)

_PACE = 4.0
"""The loop rests this many times as long as it worked, so that many replicas leave time for the rest."""
_LONGEST_SLEEP = 60.0
_RETRY = 5.0

Decided = Callable[[Sequence[int], int], Awaitable[Sequence[Event]]]
"""Waits until the history says, after a line, what became of the items with these numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What becomes of one submitted task. ``removed`` is one that is no longer asked for."""

    task_id: str
    change: Literal["created", "changed", "unchanged", "removed", "rejected"]
    message: str = ""
    differences: tuple[str, ...] = ()
    """What a change changes: ``image: 'busybox:1' -> 'busybox:2'``."""


class Declarer:
    """For one store; ``clock`` tells seconds since the epoch."""

    def __init__(self, store: Store, decided: Decided, clock: Callable[[], float]) -> None:
        self._store = store
        self._decided = decided
        self._clock = clock
        self._turn = asyncio.Lock()

    # --- asking ---------------------------------------------------------------------------------------------

    async def submit(
        self,
        specs: Sequence[TaskSpec],
        *,
        actor: str,
        cause: str = "apply",
        source: str | None = None,
        prune: bool = False,
        dry_run: bool = False,
    ) -> list[Submitted]:
        """As ``Orchestrator.submit``. ``source`` None leaves names with the file that declared them."""
        _check_distinct(specs)
        async with self._turn:
            known = {one.name: one for one in await self._store.declarations()}
            named = {spec.name for spec in specs}
            dropped = [one for one in known.values() if prune and one.source == source and one.name not in named]
            others = [one for one in known.values() if one.name not in named and one not in dropped]
            if found := cycle([*specs, *(one.spec for one in others)]):
                raise InvalidArgument(f"depends_on: {found}: tasks cannot wait for each other")
            taken = _taken(specs, others)
            results = [
                Submitted(task_id=task_id, change="rejected", message=taken[spec.name])
                for spec in specs
                if spec.name in taken
                for task_id in spec.task_ids
            ]
            plans: list[Plan] = []
            for spec in (spec for spec in specs if spec.name not in taken):
                now, tasks = self._clock(), await self._store.named(spec.name)
                before = known.get(spec.name)
                after = declare(before, spec, source=source, actor=actor, cause=cause, now=now)
                plans.append(plan(after, tasks, now))
                results += _told(plans[-1], tasks)
            gone = [task for one in dropped for task in await self._store.named(one.name) if not task.forget]
            results += [Submitted(task_id=task.id, change="removed", message="no longer declared") for task in gone]
            if dry_run:
                return results
            items = leaving(gone, actor=actor, cause="no longer declared")
            own = [
                replace(item, actor=actor, cause="" if item.spec else item.cause)
                for item in chain.from_iterable(one.items for one in plans)
            ]
            changed = [one.declared for one in plans]
            refused = await self._write(changed, dropped, [*own, *items])
        return [
            replace(one, change="rejected", message=refused[one.task_id]) if one.task_id in refused else one
            for one in results
        ]

    async def scale(self, name: str, replicas: int, *, actor: str) -> list[Submitted]:
        """Declare ``name`` with another number of replicas. Raises NotFound, InvalidArgument."""
        declared = await self.get(name)
        try:
            spec = TaskSpec.model_validate({**declared.spec.model_dump(), "replicas": replicas})
        except ValidationError as error:
            raise InvalidArgument("\n".join(map(str, problems(error, TaskSpec)))) from None
        return await self.submit([spec], actor=actor, cause=f"scaled to {replicas}")

    async def rollback(self, name: str, to: int = 0, *, actor: str) -> list[Submitted]:
        """Declare ``name`` as its revision ``to`` (0: the last good one before) had it. Raises NotFound, and
        FailedPrecondition where there is no such revision."""
        declared = await self.get(name)
        target = earlier(declared, to)
        if target is None:
            kept = ", ".join(str(one.number) for one in declared.revisions[:-1])
            what = f"no revision {to}" if to else "no earlier revision that was good"
            raise FailedPrecondition(f"{name!r} has {what}; before {declared.revision} it has {kept or 'none'}")
        cause = f"rolled back to revision {target.number}"
        return await self.submit([again(declared, target)], actor=actor, cause=cause)

    async def forget(self, tasks: Sequence[Task], names: Sequence[str] = (), *, actor: str, cause: str = "") -> None:
        """Stop and forget tasks, in one go with the declarations in ``names`` and those that have no others."""
        async with self._turn:
            ids = {task.id for task in tasks}
            dropped = [
                one
                for one in await self._store.declarations()
                if one.name in names
                or (ids and ids.issuperset(mine := [task.id for task in await self._store.named(one.name)]) and mine)
            ]
            await self._write((), dropped, leaving(tasks, actor=actor, cause=cause))

    async def list(self, names: Collection[str] = ()) -> Sequence[tuple[Declaration, Sequence[Task]]]:
        """What is declared (``names``: under these), with the tasks of each. Raises NotFound."""
        chosen = [await self.get(name) for name in names] if names else await self._store.declarations()
        return [(one, await self._store.named(one.name)) for one in chosen]

    async def get(self, name: str) -> Declaration:
        """What is declared under ``name``. Raises NotFound."""
        declared = await self._store.declaration(name)
        if declared is None:
            raise NotFound(f"nothing is declared as {name!r}", details={"name": name})
        return declared

    # --- carrying out ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Roll out until cancelled."""
        looks = dict.fromkeys([one.name for one in await self._store.declarations()], 0.0)
        while True:
            rung, begun = self._store.changed.next(), time.monotonic()
            due = self._store.stirred.union(name for name, at in looks.items() if at <= self._clock())
            self._store.stirred = set()
            try:
                await self._roll(due, looks)
            except Exception:  # noqa: BLE001 - logged; without this loop no rollout would ever go on
                _log.exception("the rollout of %s failed; trying again in %g s", ", ".join(sorted(due)), _RETRY)
                looks.update(dict.fromkeys(due, self._clock() + _RETRY))
            await asyncio.sleep(_PACE * (time.monotonic() - begun))
            with suppress(TimeoutError):
                async with asyncio.timeout(min([_LONGEST_SLEEP, *(at - self._clock() for at in looks.values())])):
                    await rung.wait()

    async def _roll(self, names: Collection[str], looks: dict[str, float]) -> None:
        """Take the next steps for ``names``; ``looks`` is when each is to be looked at again."""
        async with self._turn:
            found: list[Plan] = []
            for name in sorted(names):
                looks.pop(name, None)
                if (declared := await self._store.declaration(name)) is not None:
                    found.append(plan(declared, await self._store.named(name), self._clock()))
                    if (at := found[-1].look_at) is not None:
                        looks[name] = at
            await self._write([one.declared for one in found], items=[item for one in found for item in one.items])

    async def _write(
        self, changed: Sequence[Declaration], dropped: Sequence[Declaration] = (), items: Sequence[Item] = ()
    ) -> Mapping[str, str]:
        """Write what is new, and wait until the items were judged; for each refused one its task and why."""
        news: list[Declaration] = []
        events: list[Event] = []
        for one in changed:
            before = await self._store.declaration(one.name)
            if one != before:
                news.append(replace(one, version=one.version + 1))
                events += _story(before, one, self._clock())
        if not (news or dropped or items):
            return {}
        after = await self._store.last_seq()
        numbers = await self._store.commit(
            Outcome(declared=tuple(news), undeclared=tuple(dropped), follow=tuple(items), events=tuple(events))
        )
        judged = zip(items, await self._decided(numbers, after), strict=True)
        return {item.task_id: event.message for item, event in judged if event.kind is EventKind.REJECTED}


def _check_distinct(specs: Sequence[TaskSpec]) -> None:
    asked = Counter(chain.from_iterable(spec.task_ids for spec in specs))
    for task_id in (task_id for task_id, times in asked.items() if times > 1):
        raise InvalidArgument(f"two specs ask for the task {task_id!r}; give each its own name")


def _taken(specs: Sequence[TaskSpec], others: Sequence[Declaration]) -> Mapping[str, str]:
    """The specs that cannot be declared because a task of theirs is one of another name, and why."""
    owners = {task_id: one.name for one in others for task_id in (*one.spec.task_ids, *one.spec.surge_ids)}
    return {
        spec.name: f"{task_id!r} is a task of {owners[task_id]!r}; choose another name"
        for spec in specs
        for task_id in (*spec.task_ids, *spec.surge_ids)
        if task_id in owners
    }


def _told(planned: Plan, tasks: Sequence[Task]) -> Iterator[Submitted]:
    """What a plan means for each task, now or as the rollout goes on."""
    spec = planned.declared.spec
    at_once = {item.task_id for item in planned.items}
    known = {task.id: task for task in tasks if not task.forget}
    for task_id in spec.task_ids:
        task = known.pop(task_id, None)
        if task is None:
            yield Submitted(task_id=task_id, change="created")
        elif not (differing := differences(task.spec, spec)):
            yield Submitted(task_id=task_id, change="unchanged")
        else:
            later = "" if task_id in at_once else "as the rollout goes on"
            message = "without a restart" if same_container(task.spec, spec) else later
            yield Submitted(task_id=task_id, change="changed", message=message, differences=differing)
    for task_id in sorted(known):
        yield Submitted(task_id=task_id, change="removed")


def _story(before: Declaration | None, after: Declaration, now: float) -> Iterator[Event]:
    """The lines of history about a declaration that differs: what is not plain from those of its tasks."""
    revision = f"revision {after.revision}"
    if before is not None and after.revision != before.revision:
        said = after.message or f"{revision}: {after.revisions[-1].cause}"
    elif before is not None and after.progress is not before.progress and after.progress is not Progress.PROGRESSING:
        said = after.message if after.progress is Progress.FAILED else f"{revision} is rolled out"
    else:
        return
    last = after.revisions[-1]
    reason = {Progress.FAILED: "RolloutFailed", Progress.PROGRESSING: "RollingBack" if last.undoes else "RollingOut"}
    yield Event(
        time=now,
        task_id=after.name,
        uid="",
        kind=EventKind.NOTE,
        cause=said,
        actor=last.actor,
        reason=reason.get(after.progress, "RolledOut"),
        message=said,
    )
