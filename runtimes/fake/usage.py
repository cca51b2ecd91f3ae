"""Resource usage, made up but plausible: memory from what processes allocated, CPU from how long they have run."""

from __future__ import annotations

from cri.v1 import api_pb2 as v1
from runtimes.fake.container import Container
from runtimes.fake.sandbox import Sandbox
from runtimes.shared.disk_usage import DiskUsage, FileSystem
from runtimes.shared.process_facts import Interface, ProcessFacts
from runtimes.shared.stats_messages import Measured
from runtimes.shared.usage import Cpu, DeviceIo, HugePages, Memory, Pressure, Stalled, Usage

PROCESS_BYTES = 512 * 1024
"""Memory of a process that has allocated nothing."""

PAGE_CACHE_BYTES = 256 * 1024
"""File pages that could be dropped: charged to a running container, no part of its working set."""

DISK = FileSystem(device="0:0")
"""What everything is written to; its size is not known."""

_LOAD = 0.01
"""Share of a core that a running container uses."""

_PAGE = 4096
_SECOND = 1_000_000_000
_NO_STALLS = {Stalled(resource, by): Pressure() for resource in ("cpu", "memory", "io") for by in ("some", "full")}


def sampled(container: Container, now: int) -> Measured:
    """A reading of the container, with the CPU rate since the sample before this one, which it takes the place of."""
    usage = of_container(container, now)
    before = container.cpu_sample
    container.cpu_sample = (now, usage.cpu.usage_ns)
    if before is None:
        return Measured(usage)
    return Measured(usage, (usage.cpu.usage_ns - before[1]) * _SECOND // max(1, now - before[0]))


def of_container(container: Container, now: int) -> Usage:
    """A reading of the container."""
    limits, guest = container.config.linux.resources, container.guest
    used = _cpu_time_ns(container, now)
    return Usage(
        timestamp_ns=now,
        cpu=Cpu(
            usage_ns=used,
            user_ns=used,
            shares=limits.cpu_shares,
            quota_us=max(0, limits.cpu_quota),
            period_us=limits.cpu_period,
        ),
        memory=_memory(container),
        io=(DeviceIo(DISK.device, write_bytes=guest.files.used()[0]),),
        huge_pages=(HugePages("2MB", 0, 0),),
        pids=len(guest.processes),
        pressure=_NO_STALLS,
    )


def of_pause(now: int) -> Usage:
    """A reading of the sandbox's own process, which does nothing."""
    return Usage(now, Cpu(), Memory(usage=PROCESS_BYTES, max_usage=PROCESS_BYTES, rss=PROCESS_BYTES), pids=1)


def processes(container: Container) -> ProcessFacts:
    """What can be counted of its processes."""
    return ProcessFacts(len(container.guest.processes), ulimits=(("max_open_files", 1024),))


def written(container: Container) -> DiskUsage:
    """What it wrote outside mounts."""
    return DiskUsage(*container.guest.files.used())


def interfaces(sandbox: Sandbox) -> list[Interface]:
    """The sandbox's own; none on the host's network and without a network."""
    if sandbox.endpoint.segment is None:
        return []
    return [Interface("eth0", rx_bytes=sandbox.endpoint.received, tx_bytes=sandbox.endpoint.sent)]


def running(sandbox: Sandbox) -> list[Container]:
    """The containers of a sandbox that use anything."""
    return [container for container in sandbox.containers.values() if container.running]


def is_measured(sandbox: Sandbox) -> bool:
    """Whether there is anything to measure in it."""
    return sandbox.state == v1.SANDBOX_READY


def _cpu_time_ns(container: Container, now: int) -> int:
    """CPU time since the start, in nanoseconds."""
    if not container.started_at_ns:
        return 0
    return int(((container.finished_at_ns or now) - container.started_at_ns) * _LOAD)


def _memory(container: Container) -> Memory:
    """Within the container's limit; what it leaves goes to file pages."""
    limits, guest = container.config.linux.resources, container.guest
    resident = guest.memory + PROCESS_BYTES * len(guest.processes)
    if guest.memory_limit:
        resident = min(resident, guest.memory_limit)
    cache = PAGE_CACHE_BYTES if container.running else 0
    if guest.memory_limit:
        cache = min(cache, guest.memory_limit - resident)
    return Memory(
        usage=resident + cache,
        max_usage=resident + cache,
        limit=guest.memory_limit,
        rss=resident,
        cache=cache,
        inactive_file=cache,
        page_faults=resident // _PAGE,
        failcnt=guest.oom_events,
        oom_kills=guest.oom_events,
        swap_limit=max(0, limits.memory_swap_limit_in_bytes - guest.memory_limit),
    )
