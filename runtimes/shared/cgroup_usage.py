"""Reading ``Usage`` from a cgroup. An engine's own stats call takes seconds and burns CPU; these are small files."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from runtimes.shared import cgroup_v1, cgroup_v2
from runtimes.shared.cgroups import Cgroup, number
from runtimes.shared.usage import HugePages, Pressure, Stalled, Usage

_PRESSURE = re.compile(r"(\w+) avg10=(\S+) avg60=(\S+) avg300=(\S+) total=(\d+)")


def for_container_stats(cgroup: Cgroup) -> Usage:
    """As ``read``, but only what CRI's stats tell of one container, a third of all files; the rest is 0 or empty."""
    return Usage(
        timestamp_ns=time.time_ns(),
        cpu=cgroup_v2.cpu_time(cgroup) if cgroup.is_v2("cpuacct") else cgroup_v1.cpu_time(cgroup),
        memory=cgroup_v2.memory_told(cgroup) if cgroup.is_v2("memory") else cgroup_v1.memory_told(cgroup),
        pressure=_pressure(cgroup),
    )


def for_sandbox_stats(cgroup: Cgroup) -> Usage:
    """As ``for_container_stats``, and how many processes there are."""
    return replace(for_container_stats(cgroup), pids=number(cgroup.read("pids", "pids.current")))


def read(cgroup: Cgroup) -> Usage:
    """Everything, once. Raises FileNotFoundError when the cgroup is gone."""
    return Usage(
        timestamp_ns=time.time_ns(),
        cpu=cgroup_v2.cpu(cgroup) if cgroup.is_v2("cpuacct") else cgroup_v1.cpu(cgroup),
        memory=cgroup_v2.memory(cgroup) if cgroup.is_v2("memory") else cgroup_v1.memory(cgroup),
        io=cgroup_v2.io(cgroup) if cgroup.is_v2("blkio") else cgroup_v1.io(cgroup),
        huge_pages=_huge_pages(cgroup),
        pids=number(cgroup.read("pids", "pids.current")),
        pids_limit=number(cgroup.read("pids", "pids.max")),
        pressure=_pressure(cgroup),
    )


def _huge_pages(cgroup: Cgroup) -> tuple[HugePages, ...]:
    v2 = cgroup.is_v2("hugetlb")
    # v2 keeps no peak for huge pages; what is in use now is the best that can be said.
    usage, peak = ("current", "current") if v2 else ("usage_in_bytes", "max_usage_in_bytes")
    return tuple(
        HugePages(
            size,
            number(cgroup.read("hugetlb", f"hugetlb.{size}.{usage}")),
            number(cgroup.read("hugetlb", f"hugetlb.{size}.{peak}")),
        )
        for size in _huge_page_sizes()
    )


@lru_cache(maxsize=1)
def _huge_page_sizes() -> tuple[str, ...]:
    """As the names of the files spell them."""
    folder = Path("/sys/kernel/mm/hugepages")
    sizes = [int(each.name.removeprefix("hugepages-").removesuffix("kB")) for each in folder.glob("hugepages-*kB")]
    return tuple(_page_size(size) for size in sorted(sizes))


def _page_size(kib: int) -> str:
    for unit, name in ((1 << 20, "GB"), (1 << 10, "MB")):
        if kib >= unit:
            return f"{kib // unit}{name}"
    return f"{kib}KB"


def _pressure(cgroup: Cgroup) -> dict[Stalled, Pressure]:
    found: dict[Stalled, Pressure] = {}
    for resource in ("cpu", "memory", "io"):
        # v1 controllers have no file of that name.
        found |= _parsed_pressure(resource, cgroup.read_unified(f"{resource}.pressure"))
    return found


@lru_cache(maxsize=1024)
def _parsed_pressure(resource: str, text: str) -> dict[Stalled, Pressure]:
    """Remembered, because the text of all that waited for nothing lately is the same. Nobody may change it."""
    return {
        Stalled(resource, by): Pressure(float(avg10), float(avg60), float(avg300), int(total))
        for by, avg10, avg60, avg300, total in _PRESSURE.findall(text)
    }
