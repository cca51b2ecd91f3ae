"""A store in one SQLite file: what was answered is on the disk (WAL, synchronous=FULL).

Queue, Db and history change in one transaction. The Db is mirrored in memory for reading; no other process writes
it, because the state directory is locked.
"""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from builtins import list as list_  # the method of that name hides it inside the class
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from orchestrator.spec import TaskSpec
from orchestrator.store.base import Conflict, Outcome, Store, matches
from orchestrator.store.database import SQL, Database, connect, locked, translated
from orchestrator.task import Event, Item, State, Task

_TASK = TypeAdapter(Task)
_EVENT = TypeAdapter(Event)


@asynccontextmanager
async def open_store(directory: Path) -> AsyncIterator[SqliteStore]:
    """The store in ``directory``, which is made where it is missing and belongs to this process until the end.

    Raises StateLocked, StateTooNew, StateDamaged.
    """
    await asyncio.to_thread(directory.mkdir, mode=0o700, parents=True, exist_ok=True)
    path = directory / "state.db"
    with locked(directory):
        connection = await asyncio.to_thread(connect, path)
        try:
            store = SqliteStore(path, connection)
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, path) from error
        async with store:
            yield store


class SqliteStore(Store):
    """Made by ``open_store``."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__()
        found = connection.execute(SQL["instance"]).fetchone()
        self.instance = found[0] if found else uuid.uuid4().hex[:12]
        if not found:
            connection.execute(SQL["set_instance"], (self.instance,))
        records = (_TASK.validate_json(record) for (record,) in connection.execute(SQL["tasks"]))
        self._tasks = {task.id: task for task in records}
        self._database = Database(path, connection)
        self._database.start()

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

    async def commit(self, outcome: Outcome) -> None:
        def then() -> None:
            if outcome.task is not None:
                self._tasks[outcome.task.id] = outcome.task
            if outcome.forgotten is not None:
                del self._tasks[outcome.forgotten.id]
            if outcome.follow:
                self.queued.ring()
            self.changed.ring()

        await self._database.do(lambda connection: _write(connection, outcome), then)

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
        name = ("newest" if newest else "history") + ("_of_task" if task_id is not None else "")
        told = (after, limit) if task_id is None else (task_id, after, limit)
        rows = await self._database.do(lambda connection: connection.execute(SQL[name], told).fetchall())
        return [replace(_EVENT.validate_json(record), seq=seq) for seq, record in (rows[::-1] if newest else rows)]

    async def last_seq(self) -> int:
        return int(await self._database.do(lambda connection: _one(connection, "last_seq")))


def _one(connection: sqlite3.Connection, name: str, *parameters: object) -> Any:
    row = connection.execute(SQL[name], parameters).fetchone()
    return row[0] if row else None


def _columns(item: Item) -> tuple[object, ...]:
    spec = item.spec.model_dump_json(exclude_defaults=True) if item.spec is not None else None
    return item.task_id, item.wish, spec, item.forget, item.not_before, item.actor, item.cause


def _item(row: tuple[Any, ...]) -> Item:
    seq, task_id, wish, spec, forget, not_before, actor, cause = row
    return Item(
        seq=seq,
        task_id=task_id,
        wish=State(wish) if wish is not None else None,
        spec=_spec(spec) if spec is not None else None,
        forget=bool(forget),
        not_before=not_before,
        actor=actor,
        cause=cause,
    )


@lru_cache(maxsize=256)
def _spec(text: str) -> TaskSpec:
    return TaskSpec.model_validate_json(text)


def _put(connection: sqlite3.Connection, item: Item) -> int:
    """Add an item, or hand one back; looks at one task fold into one."""
    if item.seq:
        connection.execute(SQL["unclaim"], (item.seq,))
    waiting = _one(connection, "waiting_look", item.task_id, item.seq) if item.wish is None else None
    if waiting is not None:
        connection.execute(SQL["drop_item"], (item.seq,))
        connection.execute(SQL["hasten"], (item.not_before, waiting))
        return int(waiting)
    if item.seq:
        connection.execute(SQL["rewrite_item"], (*_columns(item), item.seq))
        return item.seq
    return connection.execute(SQL["add_item"], _columns(item)).lastrowid or 0


def _write(connection: sqlite3.Connection, outcome: Outcome) -> None:
    if (task := outcome.task) is not None:
        record = _TASK.dump_json(task, exclude_defaults=True).decode()
        if task.version == 1:
            written = connection.execute(SQL["add_task"], (record, task.version, task.id))
        else:
            written = connection.execute(SQL["write_task"], (record, task.version, task.id, task.version - 1))
        _check(connection, written, task.id, task.version - 1)
    if (gone := outcome.forgotten) is not None:
        _check(connection, connection.execute(SQL["forget_task"], (gone.id, gone.version)), gone.id, gone.version)
    for seq in outcome.done:
        connection.execute(SQL["unclaim"], (seq,))
        connection.execute(SQL["drop_item"], (seq,))
    for item in outcome.rewritten:
        connection.execute(SQL["rewrite_item"], (*_columns(item), item.seq))
    for item in outcome.follow:
        _put(connection, item)
    for event in outcome.events:
        record = _EVENT.dump_json(event, exclude_defaults=True).decode()
        connection.execute(SQL["add_event"], (event.task_id, record))


def _check(connection: sqlite3.Connection, written: sqlite3.Cursor, task_id: str, expected: int) -> None:
    if written.rowcount != 1:
        found = _one(connection, "version", task_id)
        raise Conflict(
            f"task {task_id!r}: decided on version {expected}, found {'no record' if found is None else found}"
        )
