"""A store in SQLite: in one file, where what was answered is on the disk (WAL, synchronous=FULL), or in memory.

Queue, Db and history change in one transaction. The Db is mirrored in memory for reading; no other process writes
it, because the state directory is locked.
"""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
import weakref
from builtins import list as list_  # the method of that name hides it inside the class
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cri import folders
from cri.image_collection import Pulled
from manifests.spec import TaskSpec
from orchestrator.declaration import Declaration
from orchestrator.store.base import HISTORY, Conflict, Outcome, StateDamaged, Store, check_kept
from orchestrator.store.database import MEMORY, SQL, WAY_OUT, Database, Inline, connect, translated
from orchestrator.task import Event, Item, State, Task

_TASK = TypeAdapter(Task)
_EVENT = TypeAdapter(Event)
_DECLARATION = TypeAdapter(Declaration)
_PULLED = TypeAdapter(Pulled)


@asynccontextmanager
async def open_store(directory: Path, *, history: int = HISTORY) -> AsyncIterator[SqliteStore]:
    """The store in ``directory``, which is made where it is missing and belongs to this process until the end.
    ``history`` is how many lines of it are kept.

    Raises StateLocked, StateTooNew, StateDamaged.
    """
    await asyncio.to_thread(folders.private, directory)
    path = directory / "state.db"
    with folders.owned(directory):
        connection = await asyncio.to_thread(connect, path)
        try:
            store = SqliteStore(Database(path, connection), history)
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, path) from error
        except ValidationError as error:
            connection.close()
            raise StateDamaged(f"{str(path)!r} has a task that cannot be read: {error}; {WAY_OUT}") from error
        async with store:
            yield store


class SqliteStore(Store):
    """Made by ``open_store``."""

    def __init__(self, database: Database | Inline, history: int, instance: str = "") -> None:
        super().__init__(history=history)
        self._database = database
        self._tasks: dict[str, Task] = {}
        self._named: defaultdict[str, dict[str, Task]] = defaultdict(dict)
        self._dependents: defaultdict[str, set[str]] = defaultdict(set)
        for (record,) in database.connection.execute(SQL["tasks"]):
            self._know(_TASK.validate_json(record))
        found = (_DECLARATION.validate_json(record) for (record,) in database.connection.execute(SQL["declarations"]))
        self._declared = {one.name: one for one in found}
        self.instance = _one(database.connection, "instance") or instance or uuid.uuid4().hex[:12]
        database.connection.execute(SQL["set_instance"], (self.instance,))
        database.start()

    async def aclose(self) -> None:
        await self._database.aclose()

    async def enqueue(self, items: Sequence[Item]) -> list_[int]:
        return await self._database.do(lambda connection: [_put(connection, item) for item in items], self.queued.ring)

    async def claim(self, worker: str, now: float, limit: int) -> list_[Item]:
        def job(connection: sqlite3.Connection) -> list_[Item]:
            items = [_item(row) for row in connection.execute(SQL["due"], (now, worker, limit))]
            connection.executemany(SQL["claim"], ((item.seq, item.task_id, worker) for item in items))
            return items

        return await self._database.do(job)

    async def release(self, worker: str) -> None:
        await self._database.do(lambda connection: connection.execute(SQL["release"], (worker,)).rowcount)
        self.queued.ring()

    async def next_due(self, now: float) -> float | None:
        return await self._database.do(lambda connection: _one(connection, "next_due", now))

    async def depth(self) -> int:
        return int(await self._database.do(lambda connection: _one(connection, "depth")))

    async def busy(self) -> set[str]:
        return await self._database.do(lambda connection: {task_id for (task_id,) in connection.execute(SQL["busy"])})

    async def reaping(self) -> Mapping[str, float]:
        return await self._database.do(lambda connection: dict(connection.execute(SQL["reaping"]).fetchall()))

    async def commit(self, outcome: Outcome) -> Sequence[int]:
        return await self._database.do(
            lambda connection: _write(connection, outcome, self._kept), lambda: self._mirror(outcome)
        )

    def _mirror(self, outcome: Outcome) -> None:
        """An outcome is kept: know it, and wake who waits for it."""
        if outcome.task is not None:
            self._know(outcome.task)
        if outcome.forgotten is not None:
            self._unknow(outcome.forgotten.id)
        self._declared.update((one.name, one) for one in outcome.declared)
        for one in outcome.undeclared:
            del self._declared[one.name]
        self.stirred.update(one.name for one in (*outcome.declared, *outcome.undeclared))
        if outcome.follow:
            self.queued.ring()
        self.changed.ring()

    def _know(self, task: Task) -> None:
        self._unknow(task.id)
        self._tasks[task.id] = self._named[task.spec.name][task.id] = task
        self.stirred.add(task.spec.name)
        for name in task.spec.depends_on:
            self._dependents[name].add(task.id)

    def _unknow(self, task_id: str) -> None:
        if (before := self._tasks.pop(task_id, None)) is not None:
            del self._named[before.spec.name][task_id]
            self.stirred.add(before.spec.name)
            for name in before.spec.depends_on:
                self._dependents[name].discard(task_id)

    async def declarations(self) -> list_[Declaration]:
        return [one for _, one in sorted(self._declared.items())]

    async def declaration(self, name: str) -> Declaration | None:
        return self._declared.get(name)

    async def dependents(self, name: str) -> list_[str]:
        found = self._dependents.get(name, ())
        return sorted(task_id for task_id in found if self._tasks[task_id].state is State.SCHEDULED)

    async def named(self, name: str) -> list_[Task]:
        return [task for _, task in sorted(self._named.get(name, {}).items())]

    async def get(self, task_id: str) -> Task | None:
        return self._tasks.get(task_id)

    async def list(
        self, *, labels: Mapping[str, str] | None = None, states: Collection[State] | None = None
    ) -> list_[Task]:
        wanted = (labels or {}).items()
        return [
            task
            for _, task in sorted(self._tasks.items())
            if (states is None or task.state in states) and wanted <= task.spec.labels.items()
        ]

    async def history(
        self, after: int | None = None, *, task_id: str | None = None, limit: int = 1000, newest: bool = False
    ) -> Sequence[Event]:
        name = ("newest" if newest else "history") + ("_of_task" if task_id is not None else "")
        told = (after or 0, limit) if task_id is None else (task_id, after or 0, limit)

        def job(connection: sqlite3.Connection) -> list_[Any]:
            check_kept(after, _one(connection, "oldest_seq"))
            return connection.execute(SQL[name], told).fetchall()

        rows = await self._database.do(job)
        return [replace(_EVENT.validate_json(record), seq=seq) for seq, record in (rows[::-1] if newest else rows)]

    async def pulled_images(self) -> Sequence[Pulled]:
        rows = await self._database.do(lambda connection: connection.execute(SQL["images"]).fetchall())
        return [_PULLED.validate_json(record) for (record,) in rows]

    async def keep_images(self, changed: Sequence[Pulled], *, dropped: Sequence[str] = ()) -> None:
        def job(connection: sqlite3.Connection) -> None:
            kept = ((one.id, _PULLED.dump_json(one, exclude_defaults=True).decode()) for one in changed)
            connection.executemany(SQL["keep_image"], kept)
            connection.executemany(SQL["drop_image"], ((each,) for each in dropped))

        await self._database.do(job)

    async def last_seq(self) -> int:
        return int(await self._database.do(lambda connection: _one(connection, "last_seq")))


class MemoryStore(SqliteStore):
    """A store that lives as long as the process: for ``minicri run`` and for tests. No method awaits anything."""

    def __init__(self, instance: str = "", *, history: int = HISTORY) -> None:
        connection = connect(MEMORY)
        super().__init__(Inline(MEMORY, connection), history, instance)
        weakref.finalize(self, connection.close)


def _one(connection: sqlite3.Connection, name: str, *parameters: object) -> Any:
    row = connection.execute(SQL[name], parameters).fetchone()
    return row[0] if row else None


def _columns(item: Item) -> tuple[object, ...]:
    spec = item.spec.model_dump_json(exclude_defaults=True) if item.spec is not None else None
    return item.task_id, item.wish, spec, item.forget, item.not_before, item.actor, item.cause


def _item(row: tuple[Any, ...]) -> Item:
    seq, task_id, wish, spec, forget, not_before, actor, cause = row
    told = {"not_before": not_before, "actor": actor, "cause": cause, "forget": bool(forget)}
    return Item(seq=seq, task_id=task_id, wish=wish and State(wish), spec=spec and _spec(spec), **told)


@lru_cache(maxsize=256)
def _spec(text: str) -> TaskSpec:
    return TaskSpec.model_validate_json(text)


def _put(connection: sqlite3.Connection, item: Item) -> int:
    """Add an item, or hand one back; looks at one task fold into one."""
    if item.seq:
        connection.execute(SQL["unclaim"], (item.seq,))
    waiting = _one(connection, "waiting_look", item.task_id, item.forget, item.seq) if item.wish is None else None
    if waiting is not None:
        connection.execute(SQL["drop_item"], (item.seq,))
        connection.execute(SQL["hasten"], (item.not_before, item.actor, item.cause, waiting))
        return int(waiting)
    if item.seq:
        connection.execute(SQL["rewrite_item"], (*_columns(item), item.seq))
        return item.seq
    return connection.execute(SQL["add_item"], _columns(item)).lastrowid or 0


def _write(connection: sqlite3.Connection, outcome: Outcome, kept: int) -> list_[int]:
    if (task := outcome.task) is not None:
        _replace(connection, "task", task.id, task.version, _TASK.dump_json(task, exclude_defaults=True).decode())
    if (gone := outcome.forgotten) is not None:
        _replace(connection, "task", gone.id, gone.version + 1, None)
    for one in outcome.declared:
        record = _DECLARATION.dump_json(one, exclude_defaults=True).decode()
        _replace(connection, "declaration", one.name, one.version, record)
    for one in outcome.undeclared:
        _replace(connection, "declaration", one.name, one.version + 1, None)
    for seq in outcome.done:
        connection.execute(SQL["unclaim"], (seq,))
        connection.execute(SQL["drop_item"], (seq,))
    for item in outcome.rewritten:
        connection.execute(SQL["rewrite_item"], (*_columns(item), item.seq))
    for event in outcome.events:
        record = _EVENT.dump_json(event, exclude_defaults=True).decode()
        connection.execute(SQL["add_event"], (event.task_id, record))
    if outcome.events:
        connection.execute(SQL["trim_history"], (kept,))
    return [_put(connection, item) for item in outcome.follow]


def _replace(connection: sqlite3.Connection, noun: str, key: str, version: int, record: str | None) -> None:
    """Write ``record``, or with None delete it, if the one there has the version before ``version`` (0: none is)."""
    if record is None:
        written = connection.execute(SQL[f"forget_{noun}"], (key, version - 1))
    elif version == 1:
        written = connection.execute(SQL[f"add_{noun}"], (record, version, key))
    else:
        written = connection.execute(SQL[f"write_{noun}"], (record, version, key, version - 1))
    if written.rowcount != 1:
        found = _one(connection, f"version_of_{noun}", key)
        there = "no record" if found is None else found
        raise Conflict(f"{noun} {key!r}: decided on version {version - 1}, found {there}")
