"""``Orchestrator``: worker and control loop over one store and one runtime, and what a user may ask of them.

No wish is carried out here: a method puts an item on the queue and waits for what the worker makes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from cri import logs, progress
from cri.errors import FailedPrecondition, NotFound
from cri.logs import Record
from cri.runtime import Runtime
from cri.streaming.transport import cancel
from manifests.spec import TaskSpec
from orchestrator.collection import Limits
from orchestrator.collector import Collector
from orchestrator.declaring import Declarer, Submitted
from orchestrator.loop import ControlLoop
from orchestrator.measure import Measure
from orchestrator.orphans import Orphans
from orchestrator.perform import Performer
from orchestrator.pods import log_path
from orchestrator.store import Store
from orchestrator.task import Event, EventKind, Item, State, Task
from orchestrator.why import why
from orchestrator.worker import Settings, Worker

__all__ = ["Description", "Orchestrator", "Settings", "Submitted"]

_HISTORY_PAGE = 1000
_DESCRIBED_EVENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """All there is to say about one task, for a person who asks why."""

    task: Task
    why: str
    """One sentence: where it stands, why, and what comes next."""
    events: Sequence[Event]
    """The newest lines of its history, oldest first."""


class Orchestrator:
    """Tasks on one runtime, remembered in one store. ``async with`` starts and stops it; containers stay."""

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        *,
        state_dir: Path,
        settings: Settings | None = None,
        limits: Limits | None = None,
        on_pull: progress.Listener | None = None,
        measure: Measure | None = None,
    ) -> None:
        """``state_dir`` is where the logs go; ``limits`` say how long logs and images are kept; ``on_pull`` hears of
        image pulls."""
        settings, measure = settings or Settings(), measure or Measure()
        self._store = store
        self._state_dir = state_dir.absolute()
        self._on_pull = on_pull
        self.collector = Collector(store, runtime, self._state_dir, limits or Limits(), measure=measure)
        performer = Performer(runtime, store.instance, self._state_dir, pull=self.collector.pull)
        self._worker = Worker(store, performer, settings, measure=measure)
        self._loop = ControlLoop(
            store,
            runtime,
            settings,
            health=self._worker.prober.health,
            measure=measure,
        )
        self._clock = self._worker.clock
        self.orphans = Orphans(store, runtime, settings.orphan_grace, self._clock)
        self.declarer = Declarer(store, self._decided, self._clock)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            with progress.listening(self._on_pull) if self._on_pull is not None else nullcontext():
                stack.push_async_callback(self._worker.drain)
                for part in (self._worker, self._loop, self.declarer, self.collector):
                    job = asyncio.create_task(part.run(), name=type(part).__name__)
                    stack.push_async_callback(cancel, job)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    # --- asking for something -------------------------------------------------------------------------------

    async def submit(
        self, specs: Sequence[TaskSpec], *, actor: str, source: str = "", prune: bool = False, dry_run: bool = False
    ) -> list[Submitted]:
        """Declare tasks: new ones start, changed ones restart with the new spec, unchanged ones are left alone.

        ``replicas`` makes ``name-0``, ``name-1``, …; what is no longer asked for is stopped and forgotten, and with
        ``prune`` also what ``source`` declared before and now does not. Returns once the first items were judged,
        durably; not once they were carried out. Of a rollout that takes several steps, the others follow.
        ``dry_run`` only tells. Raises InvalidArgument when two specs ask for the same task.
        """
        return await self.declarer.submit(specs, actor=actor, source=source, prune=prune, dry_run=dry_run)

    async def put(
        self, task_id: str, state: State, *, forget: bool = False, actor: str, cause: str = ""
    ) -> Task | None:
        """Put a task in a state: Scheduled restarts, Completed stops (``forget``: and deletes, also what was declared
        if the task is all there is of it; a replica is made anew), Running looks again and tries at once, Failed
        gives up.

        Returns the record once the wish was accepted (None: already forgotten). Raises NotFound for an unknown task
        and FailedPrecondition with the allowed states when the table refuses; the history has the refusal as well.
        """
        if forget and (known := await self._store.get(task_id)) is not None:
            await self.declarer.forget([known], actor=actor, cause=cause)
            return await self._store.get(task_id)
        item = Item(task_id=task_id, wish=state, forget=forget, actor=actor, cause=cause)
        after = await self._store.last_seq()
        [event] = await self._decided(await self._store.enqueue([item]), after)
        if event.kind is EventKind.REJECTED:
            raise (FailedPrecondition if event.uid else NotFound)(event.message, details={"task": task_id})
        return await self._store.get(task_id)

    async def _decided(self, numbers: Sequence[int], after: int) -> list[Event]:
        """Wait for the line of history, after line ``after``, that says what became of each item."""
        found: dict[int, Event] = {}
        missing = set(numbers)
        async with aclosing(self.watch(after)) as events:
            while missing:
                event = await anext(events)
                if event.item in missing:
                    missing.remove(event.item)
                    found[event.item] = event
        return [found[number] for number in numbers]

    async def stop_all(self, *, forget: bool, actor: str) -> None:
        """Stop every task and wait until nothing of it is left; ``forget`` drops the records too."""
        tasks = [task for task in await self._store.list() if forget or not task.settled]
        if forget:
            names = [one.name for one in await self._store.declarations()]
            await self.declarer.forget(tasks, names, actor=actor)
        else:
            items = [Item(task_id=task.id, wish=State.COMPLETED, actor=actor) for task in tasks]
            after = await self._store.last_seq()
            await self._decided(await self._store.enqueue(items), after)
        for task in tasks:
            await self.until(task.id, _left_nothing(task.uid))

    def hurry(self) -> None:
        """Wait for nobody any more: stops under way, and all that follow, kill at once."""
        self._worker.performer.hurried.set()

    # --- looking --------------------------------------------------------------------------------------------

    async def get(self, task_id: str) -> Task:
        """The record of a task. Raises NotFound."""
        task = await self._store.get(task_id)
        if task is None:
            raise NotFound(f"no task {task_id!r}", details={"task": task_id})
        return task

    async def list(
        self, *, labels: Mapping[str, str] | None = None, states: Collection[State] | None = None
    ) -> list[Task]:
        """The known tasks that have all ``labels`` and one of ``states``, by id."""
        return await self._store.list(labels=labels, states=states)

    async def history(
        self, after: int | None = None, *, task_id: str | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """Up to ``limit`` lines of history after line ``after`` (None: of all that is kept), oldest first.

        Raises HistoryTrimmed when what follows ``after`` is no longer kept.
        """
        return await self._store.history(after, task_id=task_id, limit=limit)

    async def last_seq(self) -> int:
        """The number of the newest line of history: where to ``watch`` from to hear only what is new."""
        return await self._store.last_seq()

    async def watch(
        self, after: int | None = None, *, task_id: str | None = None, until: int | None = None
    ) -> AsyncGenerator[Event]:
        """The history after line ``after`` (None: all that is kept) and then each new line, without gap or repetition,
        until closed, or to line ``until``.

        Raises HistoryTrimmed when what follows ``after`` is no longer kept, be it by now.
        """
        while True:
            rung = self._store.changed.next()
            newest = await self._store.last_seq()
            page = await self._store.history(after, task_id=task_id, limit=_HISTORY_PAGE)
            for event in page:
                if until is not None and event.seq > until:
                    return
                yield event
                after = event.seq
            if not page and until is not None:
                return
            if not page:
                after = max(after or 0, newest)  # a task may be quiet for longer than the history goes back
                await rung.wait()

    async def wait(self, task_id: str, states: Collection[State]) -> Task | None:
        """Wait until the task is in one of ``states``; None when it was forgotten."""
        return await self.until(task_id, lambda task: task is None or task.state in states)

    async def wait_settled(self, task_ids: Collection[str]) -> dict[str, Task | None]:
        """Wait until each task has ended for good (Completed, or Failed without another try); None: forgotten."""
        return {task_id: await self.until(task_id, lambda task: task is None or task.settled) for task_id in task_ids}

    async def until(self, task_id: str, reached: Callable[[Task | None], bool]) -> Task | None:
        """Wait until ``reached`` says so of the task's record (None: there is none); the answer is that record."""
        while True:
            rung = self._store.changed.next()
            task = await self._store.get(task_id)
            if reached(task):
                return task
            await rung.wait()

    async def container(self, task_id: str, name: str = "") -> str:
        """The id of a running container (no name: the main one), for exec and attach. Raises NotFound,
        FailedPrecondition."""
        task = await self.get(task_id)
        if task.state is not State.RUNNING:
            raise FailedPrecondition(f"task {task_id!r} is {task.state}, not Running", details={"task": task_id})
        return task.containers[task.spec.container(name).name]

    async def describe(self, task_id: str) -> Description:
        """Why the task is where it is, what was tried, and when the next try is. Raises NotFound."""
        task = await self.get(task_id)
        newest = await self._store.history(task_id=task_id, limit=_DESCRIBED_EVENTS, newest=True)
        return Description(task=task, why=why(task, self._clock()), events=newest)

    async def logs(
        self,
        task_id: str,
        *,
        container: str = "",
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
    ) -> AsyncGenerator[Record]:
        """The output of a container (no name: the main one) of the newest attempt that has any, oldest first, as
        ``cri.logs`` records.

        ``tail`` is a number of records, ``since`` seconds since the epoch. ``follow`` goes on through restarts
        until the task has ended and nothing of it is left. Raises NotFound for an unknown task.
        """
        task = await self.get(task_id)
        path = partial(log_path, self._state_dir, task, task.spec.container(container).name)
        newest, since_ns = await asyncio.to_thread(logs.newest, path, task.attempt), round((since or 0.0) * 1e9)
        if follow:
            lines = logs.follow_on(path, newest, partial(self._attempt_after, task), tail=tail, since_ns=since_ns)
        else:
            lines = logs.records(path(newest), tail=tail, since_ns=since_ns)
        async with aclosing(lines):
            async for record in lines:
                yield record

    async def _attempt_after(self, task: Task, attempt: int) -> int | None:
        """Wait until ``attempt`` prints no more; the attempt that follows it, None: there will be none."""

        def over(now: Task | None) -> bool:
            return now is None or now.uid != task.uid or now.swept or now.attempt > attempt

        now = await self.until(task.id, over)
        return attempt + 1 if now is not None and now.uid == task.uid and now.attempt > attempt else None


def _left_nothing(uid: str) -> Callable[[Task | None], bool]:
    return lambda task: task is None or task.uid != uid or task.swept
