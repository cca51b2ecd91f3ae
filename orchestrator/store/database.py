"""One SQLite file in one thread: opened, checked, locked against other processes, and written in groups.

Jobs that arrive while a transaction is on its way to the disk share the next one, so one flush serves them all.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from cri.errors import CRIError
from orchestrator.store.base import StateDamaged, StateFull, StateLocked, StateTooNew, StateUnwritable

SCHEMA = 1
"""The version of the schema that this code reads and writes."""

_APPLICATION = 0x6D696E69  # "mini": tells our file from any other SQLite file
_GROUP = 512
_T = TypeVar("_T")
_Job = tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any], Callable[[], None]]


def statements() -> Mapping[str, str]:
    """The named statements of ``statements.sql``."""
    text = files("orchestrator.store").joinpath("statements.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))


SQL = statements()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Own the state directory, or raise StateLocked with the owner's pid. The kernel frees a dead owner's lock."""
    path = directory / "lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(file, 32, 0).decode().strip() or "unknown"
            raise StateLocked(
                f"state directory {str(directory)!r} is in use by process {owner}; stop it or choose another directory",
                details={"pid": owner, "directory": str(directory)},
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made where it is missing, readable by this user alone. Raises StateDamaged, StateTooNew."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
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
        raise StateDamaged(f"{str(path)!r} is damaged: {found}; {_WAY_OUT}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    if fresh:
        marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {SCHEMA};"
        connection.executescript(f"BEGIN IMMEDIATE; {SQL['schema']} {marks} COMMIT;")
    connection.execute(SQL["claims"])


_WAY_OUT = "move it away to start empty (what runs is then adopted by nobody), or restore a copy"
_KINDS: Mapping[int, type[CRIError]] = {
    sqlite3.SQLITE_FULL: StateFull,
    sqlite3.SQLITE_CORRUPT: StateDamaged,
    sqlite3.SQLITE_NOTADB: StateDamaged,
}


def translated(error: sqlite3.Error, path: Path) -> CRIError:
    """Our error for one of SQLite's, by its code."""
    kind = _KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, StateUnwritable)
    hint = f"; {_WAY_OUT}" if kind is StateDamaged else "; make room on the disk" if kind is StateFull else ""
    return kind(f"{str(path)!r}: {error}{hint}")


class Database(threading.Thread):
    """Runs jobs on the connection, grouped into transactions, each job all or nothing."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(name="minicri-store", daemon=True)
        self._path = path
        self._connection = connection
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
            results = self._transaction(group)
            self._loop.call_soon_threadsafe(_resolve, group, results)
        self._connection.close()

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

    def _transaction(self, group: list[_Job]) -> list[Any]:
        run = self._connection.execute
        results: list[Any] = []
        try:
            run("BEGIN IMMEDIATE")
            for job, _, _ in group:
                run("SAVEPOINT job")
                try:
                    results.append(job(self._connection))
                except CRIError as error:
                    run("ROLLBACK TO job")
                    results.append(error)
                run("RELEASE job")
            run("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of the group was kept: all must hear it
            if self._connection.in_transaction:
                run("ROLLBACK")
            told = translated(error, self._path) if isinstance(error, sqlite3.Error) else error
            return [told] * len(group)
        return results


def _resolve(group: list[_Job], results: list[Any]) -> None:
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
