"""CPU, memory and block I/O from the files of cgroup v2, one hierarchy for all controllers."""

from __future__ import annotations

from runtimes.shared.cgroups import Cgroup, limit, number, pairs, value
from runtimes.shared.usage import Cpu, DeviceIo, Memory


def cpu_time(cgroup: Cgroup) -> Cpu:
    """Of ``cpu`` only the time used."""
    return Cpu(usage_ns=value(cgroup.read("cpu", "cpu.stat"), "usage_usec") * 1000)


def cpu(cgroup: Cgroup) -> Cpu:
    stat = pairs(cgroup.read("cpu", "cpu.stat"))
    quota, _, period = cgroup.read("cpu", "cpu.max").strip().partition(" ")
    return Cpu(
        usage_ns=stat.get("usage_usec", 0) * 1000,
        user_ns=stat.get("user_usec", 0) * 1000,
        system_ns=stat.get("system_usec", 0) * 1000,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_ns=stat.get("throttled_usec", 0) * 1000,
        shares=_shares(number(cgroup.read("cpu", "cpu.weight"))),
        quota_us=number(quota),
        period_us=number(period),
    )


def _shares(weight: int) -> int:
    """The v1 shares that OCI runtimes turn into this v2 weight; 0 stays "not known"."""
    return 2 + ((weight - 1) * 262142) // 9999 if weight else 0


def memory_told(cgroup: Cgroup) -> Memory:
    """Of ``memory`` only what CRI's stats tell."""
    return _told(cgroup, cgroup.read("memory", "memory.stat"))


def memory(cgroup: Cgroup) -> Memory:
    stat = cgroup.read("memory", "memory.stat")
    events = pairs(cgroup.read("memory", "memory.events"))
    return _told(cgroup, stat)._replace(
        max_usage=number(cgroup.read("memory", "memory.peak")),
        soft_limit=limit(cgroup.read("memory", "memory.low")),
        cache=value(stat, "file"),
        mapped_file=value(stat, "file_mapped"),
        kernel=value(stat, "kernel"),
        failcnt=events.get("max", 0),
        oom_kills=events.get("oom_kill", 0),
    )


def _told(cgroup: Cgroup, stat: str) -> Memory:
    return Memory(
        usage=number(cgroup.read("memory", "memory.current")),
        limit=limit(cgroup.read("memory", "memory.max")),
        rss=value(stat, "anon"),
        inactive_file=value(stat, "inactive_file"),
        page_faults=value(stat, "pgfault"),
        major_page_faults=value(stat, "pgmajfault"),
        swap_usage=number(cgroup.read("memory", "memory.swap.current")),
        swap_limit=limit(cgroup.read("memory", "memory.swap.max")),
    )


def io(cgroup: Cgroup) -> tuple[DeviceIo, ...]:
    found = []
    for line in cgroup.read("io", "io.stat").splitlines():
        device, *rest = line.split()
        row = {key: number(value) for key, _, value in (pair.partition("=") for pair in rest)}
        found.append(
            DeviceIo(
                device,
                read_bytes=row.get("rbytes", 0),
                write_bytes=row.get("wbytes", 0),
                reads=row.get("rios", 0),
                writes=row.get("wios", 0),
            )
        )
    return tuple(found)
