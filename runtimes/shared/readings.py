"""What runs on this host, read from its cgroups, many at a time: a hop to a thread for each costs more than reading it.
The engine is only asked where something is, once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from runtimes.shared import disk_usage
from runtimes.shared.cgroups import Cgroup
from runtimes.shared.cpu_rates import CpuRates
from runtimes.shared.disk_usage import DiskUsage
from runtimes.shared.stats_messages import Measured
from runtimes.shared.usage import Usage

DISK_AGE = 10.0
"""Seconds that the size of a writable layer is taken for current: adding it up costs more than all the rest."""

_KEPT = 4096


@dataclass(slots=True)
class Place:
    """Where a running container is on this host, as long as it runs. ``upper`` is the directory of what it writes;
    empty where the storage has none."""

    pid: int
    cgroup: Cgroup
    upper: str
    started_ns: int
    on_host_network: bool
    network: Path | None = None  # the file of its network namespace, of a sandbox that may have no process
    written: DiskUsage = field(default_factory=DiskUsage)
    written_at: float = float("-inf")


class Places(Protocol):
    """Where an engine has its containers."""

    async def container(self, container_id: str) -> Place | None:
        """None for one that does not run. Raises Unimplemented for an engine on another host."""

    async def sandbox(self, sandbox_id: str) -> Place | None:
        """Of the process that holds the sandbox; as ``container``."""

    async def written(self, container_id: str) -> DiskUsage:
        """What the engine says that a container wrote, for a storage without a directory of it."""

    async def storage(self) -> str:
        """The directory that the engine keeps containers in."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading, and where it was taken."""

    place: Place
    measured: Measured


class Readings:
    """Remembers where what runs is, and the last reading of each, for its CPU rate."""

    def __init__(self, places: Places) -> None:
        self._engine = places
        self._in_containers: OrderedDict[str, Place] = OrderedDict()
        self._in_sandboxes: OrderedDict[str, Place] = OrderedDict()
        self._rates = CpuRates()

    async def of(
        self, *, containers: Iterable[str] = (), sandboxes: Iterable[str] = (), read: Callable[[Cgroup], Usage]
    ) -> dict[str, Reading]:
        """By id; what does not run is not in it. ``read`` is one of the functions of ``cgroup_usage``.
        Raises Unimplemented for an engine on another host."""
        places = await _known(self._in_containers, containers, self._engine.container)
        places |= await _known(self._in_sandboxes, sandboxes, self._engine.sandbox)
        found = {}
        for key, usage in (await asyncio.to_thread(_read_each, places, read)).items():
            if usage is None:
                self._in_containers.pop(key, None)
                self._in_sandboxes.pop(key, None)
                self._rates.forget(key)
            else:
                rate = self._rates.note(key, usage.timestamp_ns, usage.cpu.usage_ns)
                found[key] = Reading(places[key], Measured(usage, rate))
        return found

    async def again(self, read: Callable[[Cgroup], Usage]) -> dict[str, Reading]:
        """``of`` all containers that were read before and still run: for a caller who awaits the engine's list."""
        return await self.of(containers=self._in_containers, read=read)

    async def weigh(self, readings: Mapping[str, Reading]) -> None:
        """Bring ``Place.written`` of containers up to date, where it is too old: what each wrote outside mounts."""
        now = time.monotonic()
        due = {key: each.place for key, each in readings.items() if now - each.place.written_at > DISK_AGE}
        for place in due.values():
            place.written_at = now
        here = [place for place in due.values() if place.upper]
        if here:
            for place, written in zip(here, await asyncio.to_thread(_weigh_each, here), strict=True):
                place.written = written
        elsewhere = [key for key, place in due.items() if not place.upper]
        for key, written in zip(elsewhere, await asyncio.gather(*map(self._engine.written, elsewhere)), strict=True):
            due[key].written = written


async def _known(
    known: OrderedDict[str, Place], keys: Iterable[str], find: Callable[[str], Awaitable[Place | None]]
) -> dict[str, Place]:
    """The places of those that run, from ``known``, which is completed."""
    wanted = list(keys)
    new = [key for key in wanted if key not in known]
    known.update((key, place) for key, place in zip(new, await asyncio.gather(*map(find, new)), strict=True) if place)
    places = {key: known[key] for key in wanted if key in known}
    while len(known) > _KEPT:
        known.popitem(last=False)
    return places


def _read_each(places: Mapping[str, Place], read: Callable[[Cgroup], Usage]) -> dict[str, Usage | None]:
    """None for what has ended."""
    found: dict[str, Usage | None] = {}
    for key, place in places.items():
        try:
            found[key] = read(place.cgroup)
        except FileNotFoundError:
            found[key] = None
    return found


def _weigh_each(places: Iterable[Place]) -> list[DiskUsage]:
    return [disk_usage.below(place.upper) for place in places]
