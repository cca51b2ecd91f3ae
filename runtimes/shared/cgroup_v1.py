"""CPU, memory and block I/O from the files of cgroup v1, one hierarchy a controller."""

from __future__ import annotations

import os

from runtimes.shared.cgroups import UNLIMITED, Cgroup, limit, number, pairs, value
from runtimes.shared.usage import Cpu, DeviceIo, Memory

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def cpu_time(cgroup: Cgroup) -> Cpu:
    """Of ``cpu`` only the time used."""
    return Cpu(usage_ns=number(cgroup.read("cpuacct", "cpuacct.usage")))


def cpu(cgroup: Cgroup) -> Cpu:
    times = pairs(cgroup.read("cpuacct", "cpuacct.stat"))
    throttling = pairs(cgroup.read("cpu", "cpu.stat"))
    return cpu_time(cgroup)._replace(
        user_ns=times.get("user", 0) * _TICK_NS,
        system_ns=times.get("system", 0) * _TICK_NS,
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled_ns=throttling.get("throttled_time", 0),
        shares=number(cgroup.read("cpu", "cpu.shares")),
        quota_us=max(0, number(cgroup.read("cpu", "cpu.cfs_quota_us"))),
        period_us=number(cgroup.read("cpu", "cpu.cfs_period_us")),
    )


def memory_told(cgroup: Cgroup) -> Memory:
    """Of ``memory`` only what CRI's stats tell."""
    return _told(cgroup, cgroup.read("memory", "memory.stat"))


def memory(cgroup: Cgroup) -> Memory:
    stat = cgroup.read("memory", "memory.stat")
    return _told(cgroup, stat)._replace(
        max_usage=number(cgroup.read("memory", "memory.max_usage_in_bytes")),
        soft_limit=limit(cgroup.read("memory", "memory.soft_limit_in_bytes")),
        cache=value(stat, "total_cache"),
        mapped_file=value(stat, "total_mapped_file"),
        kernel=number(cgroup.read("memory", "memory.kmem.usage_in_bytes")),
        failcnt=number(cgroup.read("memory", "memory.failcnt")),
        oom_kills=pairs(cgroup.read("memory", "memory.oom_control")).get("oom_kill", 0),
    )


def _told(cgroup: Cgroup, stat: str) -> Memory:
    size = _limit(cgroup, stat, "hierarchical_memory_limit", "memory.limit_in_bytes")
    with_swap = _limit(cgroup, stat, "hierarchical_memsw_limit", "memory.memsw.limit_in_bytes")
    return Memory(
        usage=number(cgroup.read("memory", "memory.usage_in_bytes")),
        limit=size,
        rss=value(stat, "total_rss"),
        inactive_file=value(stat, "total_inactive_file"),
        page_faults=value(stat, "total_pgfault"),
        major_page_faults=value(stat, "total_pgmajfault"),
        swap_usage=value(stat, "total_swap"),
        swap_limit=max(0, with_swap - size) if with_swap else 0,
    )


def _limit(cgroup: Cgroup, stat: str, least: str, name: str) -> int:
    """What the file ``name`` says. ``least`` is of its own limit and all above it: where not even that is one, there is
    none in the file, which then need not be opened."""
    return 0 if value(stat, least) >= UNLIMITED else limit(cgroup.read("memory", name))


def io(cgroup: Cgroup) -> tuple[DeviceIo, ...]:
    sizes = _by_device(cgroup.read("blkio", "blkio.throttle.io_service_bytes_recursive"))
    counts = _by_device(cgroup.read("blkio", "blkio.throttle.io_serviced_recursive"))
    return tuple(
        DeviceIo(
            device,
            read_bytes=sizes.get((device, "Read"), 0),
            write_bytes=sizes.get((device, "Write"), 0),
            reads=counts.get((device, "Read"), 0),
            writes=counts.get((device, "Write"), 0),
        )
        for device in sorted({device for device, _ in sizes | counts})
    )


def _by_device(text: str) -> dict[tuple[str, str], int]:
    """``8:0 Read 4096`` -> {("8:0", "Read"): 4096}; the line with the total has no device."""
    rows = (line.split() for line in text.splitlines())
    return {(row[0], row[1]): int(row[2]) for row in rows if len(row) == 3}
