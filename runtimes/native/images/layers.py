"""The unpacked layers: each is made once, by whoever needs it first, and stays while an image or a snapshot has it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runtimes.native.database import Database
from runtimes.native.images import trees
from runtimes.native.images.building import Built

KIND = "image-layer"
"""Of the lock that whoever makes a layer holds; its name is the chain id."""


class Layers:
    """``directory`` holds them, named by number."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self.directory = directory

    def find(self, chain: str) -> int | None:
        """The number of a layer that is there, whole."""
        with self._database.read() as connection:
            row = connection.execute("select number from layers where chain = ? and made", (chain,)).fetchone()
            return int(row["number"]) if row else None

    def begin(self, chain: str) -> int:
        """The number of a layer that is to be made, by the holder of its lock. What a dead process had begun is left
        to the sweep."""
        with self._database.write() as connection:
            connection.execute("update layers set chain = null where chain = ? and not made", (chain,))
            cursor = connection.execute("insert into layers (chain) values (?)", (chain,))
            return int(cursor.lastrowid or 0)

    def finish(self, number: int, built: Built) -> None:
        """From now on it is found."""
        with self._database.write() as connection:
            connection.execute(
                "update layers set made = 1, size = ?, inodes = ? where number = ?",
                (built.size, built.inodes, number),
            )

    async def discard(self, number: int) -> None:
        """Take away a layer that nobody may find any more, its files first: a row tells that there may be some."""
        await asyncio.to_thread(trees.remove, self.directory / str(number))
        with self._database.write() as connection:
            connection.execute("delete from layers where number = ? and (chain is null or not made)", (number,))

    def used(self) -> int:
        """Bytes of those that an image or a snapshot has."""
        with self._database.read() as connection:
            row = connection.execute(
                "select total(size) as size from layers where number in (select layer from image_layers)"
                " or number in (select layer from snapshot_layers)"
            ).fetchone()
            return int(row["size"])

    def usage(self) -> Built:
        """Bytes and inodes of all."""
        with self._database.read() as connection:
            row = connection.execute("select total(size) as size, total(inodes) as inodes from layers").fetchone()
            return Built(int(row["size"]), int(row["inodes"]))
