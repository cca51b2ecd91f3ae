"""The engine's state on disk: one SQLite file that several processes share.

WAL with synchronous=NORMAL: a transaction that was committed survives the death of any process at any instruction.
Only a power cut may take the last few with it, and always the last, in order; whatever they spoke of that ran is gone
as well then, and files without a row are swept away.

Transactions are short (tens of microseconds to a millisecond) and are made on the caller's thread. Never await, start a
process or touch a container inside one; for long work on one object there are ``locks``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cri.errors import FailedPrecondition, Unavailable
from cri.folders import private_file
from runtimes.native.reserve import Reserve

VERSION = 1
"""Of the whole schema. A file of a newer one is refused."""

BUSY = 30.0
"""Seconds to wait for another process's transaction."""


class Database:
    """Thread-safe: one connection, one transaction at a time in this process.

    ``schemas`` are ``create table if not exists ...`` scripts, one from the module of each noun.
    """

    def __init__(self, path: Path, schemas: Iterable[str]) -> None:
        """Open ``path``, making it where it is missing. Raises FailedPrecondition for a file that cannot be used."""
        self._path = path
        self._reserve = Reserve(path.with_name("reserve"))
        self._lock = threading.RLock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._reserve.ease()
        try:
            private_file(path)
            self._connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise FailedPrecondition(f"the state {path} cannot be opened: {error}") from error
        try:
            self._prepare(schemas)
        except sqlite3.Error as error:
            self._connection.close()
            raise FailedPrecondition(f"the state {path} cannot be used: {error}") from error
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes in; rolled back when the block raises, IntegrityError included. Raises
        Unavailable when the disk is full or another process does not let go."""
        with self._lock, self._translated():
            self._reserve.ease()
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """What is committed at this moment; several reads in one block see the same."""
        with self._lock, self._translated():
            self._connection.execute("begin")
            try:
                yield self._connection
            finally:
                self._connection.execute("rollback")

    def rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """What one query finds. As ``read``, for a third of the time."""
        with self._lock, self._translated():
            return self._connection.execute(query, values).fetchall()

    def version(self) -> int:
        """A number that is another one after any other connection's commit, and the same after our own."""
        with self._lock, self._translated():
            return int(self._connection.execute("pragma data_version").fetchone()[0])

    def _prepare(self, schemas: Iterable[str]) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.execute("pragma foreign_keys = on")
        with self.write():
            found = connection.execute("pragma user_version").fetchone()[0]
            if found > VERSION:
                raise FailedPrecondition(f"the state {self._path} was written by a newer minicri (version {found})")
            for schema in schemas:
                for statement in filter(str.strip, schema.split(";")):
                    connection.execute(statement)
            connection.execute(f"pragma user_version = {VERSION}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the state {self._path} cannot be changed now: {error}") from error
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise FailedPrecondition(
                f"the state {self._path} is damaged: {error}; put a copy in its place, or move it away to begin anew"
            ) from error
