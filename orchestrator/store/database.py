"""One SQLite file in one thread: opened, checked, and written in groups.

Jobs that arrive while a transaction is on its way to the disk share the next one, so one flush serves them all. A
database in memory needs neither thread nor groups.
"""

from __future__ import annotations

import asyncio
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from cri.errors import CRIError
from cri.folders import private_file
from orchestrator.store.base import StateDamaged, StateFull, StateTooNew, StateUnwritable

SCHEMA = 3
"""The version of the schema that this code reads and writes."""

_APPLICATION = 0x6D696E69  # "mini": tells our file from any other SQLite file
_GROUP = 512
_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], Any]
_Job = tuple[_Work, asyncio.Future[Any], Callable[[], None]]

MEMORY = Path(":memory:")
"""The path of a database that vanishes with its connection."""


def statements() -> Mapping[str, str]:
    """The named statements of ``statements.sql``."""
    text = files("orchestrator.store").joinpath("statements.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))


SQL = statements()


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made where it is missing, readable by this user alone. Raises StateDamaged, StateTooNew."""
    if path != MEMORY:
        private_file(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise translated(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if version > SCHEMA:
        raise StateTooNew(
            f"{str(path)!r} was written by a newer minicri (schema {version}, this one knows {SCHEMA}); "
            "upgrade, or use another state directory"
        )
    fresh = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if not fresh and owner != _APPLICATION:
        raise StateDamaged(f"{str(path)!r} is an SQLite file, but not one of minicri's; use another state directory")
    if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise StateDamaged(f"{str(path)!r} is damaged: {found}; {WAY_OUT}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    if fresh:
        marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {SCHEMA};"
        connection.executescript(f"BEGIN IMMEDIATE; {SQL['schema']} {marks} COMMIT;")
    elif version < SCHEMA:
        steps = " ".join(SQL[f"from_{each}"] for each in range(version, SCHEMA))
        connection.executescript(f"BEGIN IMMEDIATE; {steps} COMMIT;")
    connection.execute(SQL["claims"])


WAY_OUT = "move it away to start empty (what runs is then adopted by nobody), or restore a copy"
_KINDS: Mapping[int, type[CRIError]] = {
    sqlite3.SQLITE_FULL: StateFull,
    sqlite3.SQLITE_CORRUPT: StateDamaged,
    sqlite3.SQLITE_NOTADB: StateDamaged,
}


def translated(error: sqlite3.Error, path: Path) -> CRIError:
    """Our error for one of SQLite's, by its code."""
    kind = _KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, StateUnwritable)
    hint = f"; {WAY_OUT}" if kind is StateDamaged else "; make room on the disk" if kind is StateFull else ""
    return kind(f"{str(path)!r}: {error}{hint}")


class Database(threading.Thread):
    """Runs jobs on the connection, grouped into transactions, each job all or nothing."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(name="minicri-store", daemon=True)
        self._path = path
        self.connection = connection
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False

    async def do(self, job: Callable[[sqlite3.Connection], _T], then: Callable[[], None] = lambda: None) -> _T:
        """Run ``job`` in a transaction and wait until what it wrote is on the disk.

        ``then`` runs in the event loop once that is so, even if the caller has given up waiting meanwhile.
        """
        if self._closed:
            raise StateUnwritable(f"{str(self._path)!r} is closed")
        done: asyncio.Future[_T] = self._loop.create_future()
        self._jobs.put((job, done, then))
        return await done

    async def aclose(self) -> None:
        """Finish what was asked for, then close the file."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            await asyncio.to_thread(self.join)

    def run(self) -> None:
        more = True
        while more:
            group, more = self._next_group()
            results = _transaction(self.connection, self._path, [job for job, _, _ in group])
            self._loop.call_soon_threadsafe(_resolve, group, results)
        self.connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        group: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == _GROUP:
                return group, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, True
        return group, False


class Inline:
    """Runs each job at once, where it is asked for."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self.connection = connection

    def start(self) -> None:
        """It needs none."""

    async def do(self, job: Callable[[sqlite3.Connection], _T], then: Callable[[], None] = lambda: None) -> _T:
        """As ``Database.do``, without ever waiting."""
        [result] = _transaction(self.connection, self._path, [job])
        if isinstance(result, BaseException):
            raise result
        then()
        done: _T = result
        return done

    async def aclose(self) -> None:
        """It is read until the process ends."""


def _transaction(connection: sqlite3.Connection, path: Path, jobs: Sequence[_Work]) -> Sequence[Any]:
    """Run jobs in one transaction: for each its result, or the error that undid it."""
    run = connection.execute
    results: list[Any] = []
    try:
        run("BEGIN IMMEDIATE")
        for job in jobs:
            run("SAVEPOINT job")
            try:
                results.append(job(connection))
            except CRIError as error:
                run("ROLLBACK TO job")
                results.append(error)
            run("RELEASE job")
        run("COMMIT")
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing of the group was kept: all must hear it
        if connection.in_transaction:
            run("ROLLBACK")
        return [translated(error, path) if isinstance(error, sqlite3.Error) else error] * len(jobs)
    return results


def _resolve(group: list[_Job], results: Sequence[Any]) -> None:
    for (_, done, then), result in zip(group, results, strict=True):
        failed = isinstance(result, BaseException)
        if not failed:
            then()
        if done.cancelled():
            continue
        if failed:
            done.set_exception(result)
        else:
            done.set_result(result)
