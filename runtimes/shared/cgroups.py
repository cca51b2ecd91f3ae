"""Where a process's cgroup files are, in hierarchy v1, v2 or both at once, and how their text reads.

A file that is missing (controller not enabled, or the kernel too old) reads as empty, never as an error; a cgroup that
is gone is ``FileNotFoundError``, which means that the container has ended.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

UNLIMITED = 1 << 60
"""A v1 limit at or above this is the kernel's way to say that there is none."""

_PROC = Path("/proc")
_PIECE = 16384
_NOT_ALL = 2048
"""The kernel hands long files out by pages, filled to the last line that fits: what is less than half is the last."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Where one container's files are: ``unified`` for v2, ``v1`` by controller. On hybrid hosts both are set."""

    unified: Path | None
    v1: Mapping[str, Path]

    def is_v2(self, controller: str) -> bool:
        return controller not in self.v1

    def only(self, container_id: str) -> Cgroup:
        """Less the folders that are not this container's own: on hybrid hosts some runtimes make none in v2, so that
        the process stays in one that is everybody's."""
        own = self.unified if self.unified and container_id in str(self.unified) else None
        return Cgroup(own, {name: place for name, place in self.v1.items() if container_id in str(place)})

    def read(self, controller: str, name: str) -> str:
        """The text of one file; empty when this host has no such file. FileNotFoundError once the cgroup is gone."""
        return _read(self.v1.get(controller, self.unified), name)

    def read_unified(self, name: str) -> str:
        """As ``read``, of the v2 hierarchy, whoever has the controller."""
        return _read(self.unified, name)

    def process_ids(self) -> list[int]:
        """The processes in it, without those of cgroups below it."""
        return [int(line) for line in self.read("pids", "cgroup.procs").split()]


def _read(folder: Path | None, name: str) -> str:
    if folder is None:
        return ""
    try:
        return _text(f"{folder}/{name}")
    except FileNotFoundError:
        if not folder.exists():
            raise
        return ""
    except OSError:  # ENOTSUP and ENODEV: the controller is there but this file is not for this cgroup
        return ""


def _text(path: str) -> str:
    """As ``Path.read_text``, which takes three times as long; a reading of one container is two dozen small files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        read = text = os.read(descriptor, _PIECE)
        while len(read) >= _NOT_ALL:
            read = os.read(descriptor, _PIECE)
            text += read
    finally:
        os.close(descriptor)
    return text.decode()


class _Hierarchy(NamedTuple):
    place: Path
    root: str  # which cgroup is seen at ``place``; not "/" where the mount shows only a part

    def folder(self, path: str) -> Path:
        inside = path.removeprefix(self.root) if self.root != "/" else path
        return self.place / inside.lstrip("/")


def of_process(pid: int, proc: Path = _PROC) -> Cgroup:
    """The cgroup of process ``pid``. Raises FileNotFoundError (or ProcessLookupError) when it has ended."""
    unified_mount, v1_mounts = _mounts(proc / "self" / "mountinfo")
    unified: Path | None = None
    v1: dict[str, Path] = {}
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            unified = unified_mount.folder(path) if unified_mount else None
            continue
        for controller in controllers.split(","):
            if controller in v1_mounts:
                v1[controller] = v1_mounts[controller].folder(path)
    return Cgroup(unified, v1)


def at(path: str, proc: Path = _PROC) -> Cgroup:
    """The cgroup at ``path`` of every hierarchy, whether it is there or not; of v1, named hierarchies too."""
    unified, v1 = _mounts(proc / "self" / "mountinfo")
    return Cgroup(unified.folder(path) if unified else None, {name: each.folder(path) for name, each in v1.items()})


@lru_cache(maxsize=4)
def _mounts(mountinfo: Path) -> tuple[_Hierarchy | None, dict[str, _Hierarchy]]:
    """Where the hierarchies are mounted: the unified one, and v1 by controller."""
    unified: _Hierarchy | None = None
    v1: dict[str, _Hierarchy] = {}
    for line in mountinfo.read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        _, _, _, root, place, *_ = left.split(" ")
        found = _Hierarchy(Path(place), root)
        if kind == "cgroup2":
            unified = unified or found
        elif kind == "cgroup":
            for option in options.split(","):
                v1.setdefault(option, found)
    return unified, v1


def number(text: str) -> int:
    """0 for what is no number, such as ``max`` and the text of a missing file."""
    text = text.strip()
    return int(text) if text.lstrip("-").isdigit() else 0


def limit(text: str) -> int:
    """0 for no limit, however the kernel spells that."""
    value = number(text)
    return 0 if value >= UNLIMITED or value < 0 else value


def value(text: str, name: str) -> int:
    """The number of one line of what ``pairs`` takes; 0 when there is none. Cheaper than all lines for a few."""
    if text.startswith(f"{name} "):
        start = 0
    else:
        start = text.find(f"\n{name} ") + 1
        if not start:
            return 0
    return number(text[start + len(name) :].partition("\n")[0])


def pairs(text: str) -> dict[str, int]:
    """Lines of a name and a number, and nothing else."""
    words = text.split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=False) if value.isdigit()}
