"""Engines as their owner sees them, behind the back of the runtime: what they have, and what they still have of
sandboxes that are gone."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.host import podmans, processes
from tests.host.engines import DockerEngine
from tests.host.leaks import engine_contents
from tests.host.podmans import PodmanEngine

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Had:
    """What there is at one moment, to be compared with another."""

    contents: list[str]
    mounts: int
    """Layers and network namespaces; 0 for an engine that is not ours."""
    programs: Counter[str]
    """The engine's processes (monitors, shims, proxies); none for an engine that is not ours."""

    def beyond(self, before: Had) -> Counter[str]:
        """What there is more than before: some of what was there then may have been at its end."""
        more = Counter(self.contents) - Counter(before.contents) + (self.programs - before.programs)
        return more + Counter(mounts=self.mounts - before.mounts)


class Owner(ABC):
    """All methods block."""

    def __init__(self, engine: DockerEngine | PodmanEngine) -> None:
        self._folder = Path(engine.address.removeprefix("unix://")).parent if engine.private else None

    def has(self) -> Had:
        return Had(self.contents(), self._mounts(), self._programs())

    @abstractmethod
    def contents(self) -> list[str]:
        """A line for each thing that the engine keeps for its users."""

    @abstractmethod
    def networks(self, name: str) -> list[str]:
        """The networks of that name."""

    @abstractmethod
    def said(self, container_id: str) -> list[bytes]:
        """The lines of its output that the engine kept."""

    def _mounts(self) -> int:
        if self._folder is None:
            return 0
        return sum(f"{self._folder}/" in line for line in Path("/proc/mounts").read_text().splitlines())

    def _programs(self) -> Counter[str]:
        if self._folder is None:
            return Counter()
        commands = (processes.command(pid) for pid in processes.of_slot(self._folder))
        return Counter(Path(words[0]).name for words in commands if words)


class DockerOwner(Owner):
    def __init__(self, engine: DockerEngine) -> None:
        super().__init__(engine)
        self._engine = engine

    def contents(self) -> list[str]:
        return engine_contents(self._engine)

    def networks(self, name: str) -> list[str]:
        with closing(self._engine.client()) as client:
            return [each.name for each in client.networks.list() if each.name == name]

    def said(self, container_id: str) -> list[bytes]:
        with closing(self._engine.client()) as client:
            return client.containers.get(container_id).logs().splitlines()


class PodmanOwner(Owner):
    def __init__(self, engine: PodmanEngine) -> None:
        super().__init__(engine)
        self._address = engine.address

    def contents(self) -> list[str]:
        return podmans.contents(self._address)

    def networks(self, name: str) -> list[str]:
        found = podmans.call(self._address, "GET", "/networks/json") or []
        return [each["name"] for each in found if each["name"] == name]

    def said(self, container_id: str) -> list[bytes]:
        # Whatever its state, a log of Podman's is a file, and it says where.
        found = podmans.call(self._address, "GET", f"/containers/{container_id}/json")
        lines = Path(found["HostConfig"]["LogConfig"]["Path"]).read_bytes().splitlines()
        return [line.split(b" ", 3)[3] for line in lines]


def cgroups_of(ids: Iterable[str]) -> list[str]:
    """The cgroups of sandboxes and containers with these ids, in whatever hierarchy."""
    wanted = tuple(ids)
    # Cgroups of other tests go while this looks: walk passes over a folder that has gone, rglob raises.
    return [
        str(Path(parent, name))
        for parent, names, _ in os.walk(CGROUPS)
        for name in names
        if any(each in name for each in wanted)
    ]
