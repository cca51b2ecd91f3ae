"""``Orchestrator``: worker and control loop over one store and one runtime, and what a user may ask of them.

No wish is carried out here: a method puts an item on the queue and waits for what the worker makes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from cri import progress
from cri.errors import FailedPrecondition, InvalidArgument, NotFound
from cri.logs import Record
from cri.runtime import Runtime
from orchestrator import output
from orchestrator.loop import ControlLoop
from orchestrator.perform import Performer
from orchestrator.spec import TaskSpec
from orchestrator.store import Store
from orchestrator.task import Event, EventKind, Item, State, Task
from orchestrator.why import why
from orchestrator.worker import Settings, Worker

__all__ = ["Description", "Orchestrator", "Settings", "Submitted"]

_HISTORY_PAGE = 1000
_DESCRIBED_EVENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of one submitted task. ``removed`` is a replica that the spec no longer asks for."""

    task_id: str
    change: Literal["created", "changed", "unchanged", "removed", "rejected"]
    message: str = ""


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
        on_pull: progress.Listener | None = None,
    ) -> None:
        """``state_dir`` is where the logs go; ``on_pull`` hears of image pulls."""
        settings = settings or Settings()
        self._store = store
        self._state_dir = state_dir.absolute()
        self._on_pull = on_pull
        self._worker = Worker(store, Performer(runtime, store.instance, self._state_dir), settings)
        self._loop = ControlLoop(store, runtime, logs=self._state_dir / "logs", relist=settings.relist)
        self._clock = self._worker.clock
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            with progress.listening(self._on_pull) if self._on_pull is not None else nullcontext():
                worker = asyncio.create_task(self._worker.run(), name="worker")
                stack.push_async_callback(self._worker.drain)
                stack.push_async_callback(_ended, worker)
                loop = asyncio.create_task(self._loop.run(), name="control loop")
                stack.push_async_callback(_ended, loop)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    # --- asking for something -------------------------------------------------------------------------------

    async def submit(self, specs: Sequence[TaskSpec], *, actor: str) -> list[Submitted]:
        """Declare tasks: new ones start, changed ones restart with the new spec, unchanged ones are left alone.

        ``replicas`` makes ``name-0``, ``name-1``, …; replicas beyond that number are stopped and forgotten. Returns
        once every item was accepted or rejected, durably; not once it was carried out. Raises InvalidArgument when
        two specs ask for the same task.
        """
        wanted = _wanted(specs)
        known = {task.id: task for task in await self._store.list()}
        names = {spec.name for spec in specs}
        results: dict[str, Submitted] = {}
        items: list[Item] = []
        for task_id, spec in wanted.items():
            task = known.get(task_id)
            if task is not None and not task.forget and task.spec == spec:
                results[task_id] = Submitted(task_id=task_id, change="unchanged")
            elif task is not None and task.spec.name != spec.name:
                taken = f"{task_id!r} is a task of {task.spec.name!r}; choose another name"
                results[task_id] = Submitted(task_id=task_id, change="rejected", message=taken)
            else:
                items.append(Item(task_id=task_id, wish=State.SCHEDULED, spec=spec, actor=actor))
        for task in known.values():
            if task.spec.name in names and task.id not in wanted and not task.forget:
                cause = "no longer among the replicas"
                items.append(Item(task_id=task.id, wish=State.COMPLETED, forget=True, actor=actor, cause=cause))
        for item, event in zip(items, await self._decided(items), strict=True):
            results[item.task_id] = _result(item, event)
        return [results[task_id] for task_id in (*wanted, *sorted(results.keys() - wanted.keys()))]

    async def put(
        self, task_id: str, state: State, *, forget: bool = False, actor: str, cause: str = ""
    ) -> Task | None:
        """Put a task in a state: Scheduled restarts, Completed stops (``forget``: and deletes), Running looks again
        and tries at once, Failed gives up.

        Returns the record once the wish was accepted (None: already forgotten). Raises NotFound for an unknown task
        and FailedPrecondition with the allowed states when the table refuses; the history has the refusal as well.
        """
        item = Item(task_id=task_id, wish=state, forget=forget, actor=actor, cause=cause)
        [event] = await self._decided([item])
        if event.kind is EventKind.REJECTED:
            raise (FailedPrecondition if event.uid else NotFound)(event.message, details={"task": task_id})
        return await self._store.get(task_id)

    async def _decided(self, items: Sequence[Item]) -> list[Event]:
        """Enqueue, and wait for the line of history that says what became of each item."""
        if not items:
            return []
        after = await self._store.last_seq()
        numbers = await self._store.enqueue(items)
        found: dict[int, Event] = {}
        missing = set(numbers)
        async with aclosing(self.watch(after)) as events:
            async for event in events:
                if event.item in missing:
                    missing.remove(event.item)
                    found[event.item] = event
                    if not missing:
                        break
        return [found[number] for number in numbers]

    async def stop_all(self, *, forget: bool, actor: str) -> None:
        """Stop every task and wait until nothing of it is left; ``forget`` drops the records too."""
        tasks = [task for task in await self._store.list() if forget or not task.ended]
        await self._decided([Item(task_id=task.id, wish=State.COMPLETED, forget=forget, actor=actor) for task in tasks])
        for task in tasks:
            await self.until(task.id, _left_nothing(task.uid))

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

    async def history(self, after: int = 0, *, task_id: str | None = None, limit: int = 1000) -> Sequence[Event]:
        """Up to ``limit`` lines of history after line ``after``, oldest first."""
        return await self._store.history(after, task_id=task_id, limit=limit)

    async def last_seq(self) -> int:
        """The number of the newest line of history: where to ``watch`` from to hear only what is new."""
        return await self._store.last_seq()

    async def watch(self, after: int = 0, *, task_id: str | None = None) -> AsyncGenerator[Event]:
        """The history after line ``after`` and then each new line, without gap or repetition, until closed."""
        while True:
            rung = self._store.changed.next()
            page = await self._store.history(after, task_id=task_id, limit=_HISTORY_PAGE)
            for event in page:
                yield event
                after = event.seq
            if not page:
                await rung.wait()

    async def wait(self, task_id: str, states: Collection[State]) -> Task | None:
        """Wait until the task is in one of ``states``; None when it was forgotten."""
        return await self.until(task_id, lambda task: task is None or task.state in states)

    async def wait_settled(self, task_ids: Collection[str]) -> dict[str, Task | None]:
        """Wait until each task has ended for good (Completed, or Failed without another try); None: forgotten."""
        return {task_id: await self.until(task_id, lambda task: task is None or task.ended) for task_id in task_ids}

    async def until(self, task_id: str, reached: Callable[[Task | None], bool]) -> Task | None:
        """Wait until ``reached`` says so of the task's record (None: there is none); the answer is that record."""
        while True:
            rung = self._store.changed.next()
            task = await self._store.get(task_id)
            if reached(task):
                return task
            await rung.wait()

    async def container(self, task_id: str) -> str:
        """The id of the running container, for exec and attach. Raises NotFound, FailedPrecondition."""
        task = await self.get(task_id)
        if task.state is not State.RUNNING:
            raise FailedPrecondition(f"task {task_id!r} is {task.state}, not Running", details={"task": task_id})
        return task.container_id

    async def describe(self, task_id: str) -> Description:
        """Why the task is where it is, what was tried, and when the next try is. Raises NotFound."""
        task = await self.get(task_id)
        newest = await self._store.history(task_id=task_id, limit=_DESCRIBED_EVENTS, newest=True)
        return Description(task=task, why=why(task, self._clock()), events=newest)

    async def logs(
        self, task_id: str, *, follow: bool = False, tail: int | None = None, since: float | None = None
    ) -> AsyncGenerator[Record]:
        """The output of the newest attempt that has any, oldest first, as ``cri.logs`` records.

        ``tail`` is a number of records, ``since`` seconds since the epoch. ``follow`` goes on through restarts
        until the task has ended and nothing of it is left. Raises NotFound for an unknown task.
        """
        task = await self.get(task_id)
        records = output.records(
            task, self._state_dir, self.until if follow else None, tail=tail, since_ns=round((since or 0.0) * 1e9)
        )
        async with aclosing(records):
            async for record in records:
                yield record


def _left_nothing(uid: str) -> Callable[[Task | None], bool]:
    return lambda task: task is None or task.uid != uid or task.swept


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _wanted(specs: Sequence[TaskSpec]) -> dict[str, TaskSpec]:
    """The tasks that specs ask for, by id."""
    wanted: dict[str, TaskSpec] = {}
    for task_id, spec in chain.from_iterable(map(_replicas, specs)):
        if task_id in wanted:
            raise InvalidArgument(f"two specs ask for the task {task_id!r}; give each its own name")
        wanted[task_id] = spec
    return wanted


def _replicas(spec: TaskSpec) -> Iterator[tuple[str, TaskSpec]]:
    if spec.replicas is None:
        yield spec.name, spec
    for number in range(spec.replicas or 0):
        yield f"{spec.name}-{number}", spec


def _result(item: Item, event: Event) -> Submitted:
    if event.kind is EventKind.REJECTED:
        return Submitted(task_id=item.task_id, change="rejected", message=event.message)
    if item.spec is None:
        return Submitted(task_id=item.task_id, change="removed")
    if event.kind is EventKind.NOTE:
        return Submitted(task_id=item.task_id, change="unchanged")
    return Submitted(task_id=item.task_id, change="created" if event.source is None else "changed")
