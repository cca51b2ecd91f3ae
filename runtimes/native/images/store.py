"""The parts of the store over one root, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runtimes.native.database import Database
from runtimes.native.images.arrivals import Arrivals
from runtimes.native.images.building import Built
from runtimes.native.images.failures import translated
from runtimes.native.images.layers import Layers
from runtimes.native.images.mapped import EMPTY
from runtimes.native.images.records import Records
from runtimes.native.images.sweep import Sweep
from runtimes.native.locks import Locks
from runtimes.native.places import Places
from runtimes.shared import disk_usage
from runtimes.shared.inflight import uninterrupted


@dataclass(frozen=True, slots=True)
class Store:
    """Holds nothing open; any number of them may be made."""

    layers: Layers
    records: Records
    arrivals: Arrivals
    sweep: Sweep
    snapshots: Path

    @classmethod
    def of(cls, places: Places, database: Database, locks: Locks) -> Store:
        """Makes the directories where they are missing."""
        with translated("the image store cannot be made"):
            for directory in (places.images, places.layers, places.arrivals, places.snapshots, places.layers / EMPTY):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        layers = Layers(database, places.layers)
        arrivals = Arrivals(database, locks, places.arrivals)
        sweep = Sweep(database, locks, layers, arrivals)
        return cls(layers, Records(database, places.layers), arrivals, sweep, places.snapshots)

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[Path]:
        """See ``Arrivals.opened``; afterwards what has no use is swept away."""
        try:
            async with self.arrivals.opened() as directory:
                yield directory
        finally:
            await uninterrupted(self.sweep.run())

    async def written(self) -> Built:
        """What all containers have written."""
        found = await asyncio.to_thread(disk_usage.below, str(self.snapshots))
        return Built(found.used_bytes or 0, found.inodes or 0)
