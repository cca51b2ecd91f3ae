"""What is on its way into the store: each arrival has a row, a lock and a directory, and ends with none of them."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtimes.native.database import Database
from runtimes.native.images import trees
from runtimes.native.images.failures import translated
from runtimes.native.locks import Locks
from runtimes.shared.inflight import uninterrupted

_KIND = "image-arrival"


class Arrivals:
    """``directory`` holds what they fetch; it is on the same file system as the layers."""

    def __init__(self, database: Database, locks: Locks, directory: Path) -> None:
        self._database = database
        self._locks = locks
        self._directory = directory

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Path]:
        """An empty directory while the block lasts, in which no layer is swept away, whoever has a use for it yet."""
        name = uuid.uuid4().hex
        async with self._locks.hold(_KIND, name):
            with self._database.write() as connection:
                connection.execute("insert into arrivals (id) values (?)", (name,))
            try:
                with translated("an image cannot be taken in"):
                    (self._directory / name).mkdir(mode=0o700, parents=True)
                yield self._directory / name
            finally:
                await uninterrupted(self._end(name))

    def look(self, connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        """The ids of those that are under way, in whatever process, and of those whose process is gone."""
        living: list[str] = []
        gone: list[str] = []
        for row in connection.execute("select id from arrivals").fetchall():
            with self._locks.try_hold(_KIND, row["id"]) as free:
                (gone if free else living).append(str(row["id"]))
        return living, gone

    async def bury(self, name: str) -> None:
        """Remove what a dead process has left."""
        async with self._locks.hold(_KIND, name):
            await self._end(name)

    async def _end(self, name: str) -> None:
        await asyncio.to_thread(trees.remove, self._directory / name)
        with self._database.write() as connection:
            connection.execute("delete from arrivals where id = ?", (name,))
