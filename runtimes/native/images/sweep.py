"""Taking away what nobody has a use for: layers without an image or a snapshot, and what dead processes have left."""

from __future__ import annotations

from runtimes.native.database import Database
from runtimes.native.images.arrivals import Arrivals
from runtimes.native.images.layers import Layers
from runtimes.native.locks import Locks

_KIND = "image-sweep"

_UNUSED = """
update layers set chain = null, made = 0
where (chain is not null or made)
  and number not in (select layer from image_layers) and number not in (select layer from snapshot_layers)
"""


class Sweep:
    """Safe at any time, in several processes at once."""

    def __init__(self, database: Database, locks: Locks, layers: Layers, arrivals: Arrivals) -> None:
        self._database = database
        self._locks = locks
        self._layers = layers
        self._arrivals = arrivals

    async def run(self) -> None:
        """While an image arrives, anywhere, layers stay: it may have a use for any of them. Its end sweeps."""
        async with self._locks.hold(_KIND, ""):
            gone, numbers = self._doomed()
            for name in gone:
                await self._arrivals.bury(name)
            for number in numbers:
                await self._layers.discard(number)

    def _doomed(self) -> tuple[list[str], list[int]]:
        with self._database.write() as connection:
            living, gone = self._arrivals.look(connection)
            if not living:  # and none can begin before this transaction ends
                connection.execute(_UNUSED)
            rows = connection.execute("select number from layers where chain is null").fetchall()
            return gone, [int(row["number"]) for row in rows]
