"""Metrics in the style of cAdvisor, from cgroup readings. Pure.

One table says what they are, so that descriptors and values cannot disagree. CRI carries whole numbers only: seconds
are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cri.v1 import api_pb2 as v1
from runtimes.shared.disk_usage import DiskUsage, FileSystem
from runtimes.shared.process_facts import Interface, ProcessFacts
from runtimes.shared.usage import DeviceIo, Pressure, Stalled, Usage

COMMON = ("id", "name", "image", "container", "pod", "namespace")
"""Labels of every metric. Of a sandbox as a whole, name, image and container are empty."""

_SECOND = 1_000_000_000

Series = Iterable[tuple[tuple[str, ...], int]]
"""The values of the labels beyond COMMON, and the number."""


@dataclass(frozen=True, slots=True)
class Subject:
    """All that is known of one container, or with only ``interfaces`` of a sandbox."""

    usage: Usage
    processes: ProcessFacts = field(default_factory=ProcessFacts)
    written: DiskUsage = field(default_factory=DiskUsage)
    file_system: FileSystem = field(default_factory=FileSystem)
    started_ns: int = 0
    interfaces: Sequence[Interface] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One metric: what it is called, and which numbers it has for a subject."""

    name: str
    help: str
    series: Callable[[Subject], Series]
    type: v1.MetricType = v1.GAUGE
    labels: tuple[str, ...] = ()

    def descriptor(self) -> v1.MetricDescriptor:
        return v1.MetricDescriptor(name=self.name, help=self.help, label_keys=(*COMMON, *self.labels))


def _one(value: Callable[[Subject], int]) -> Callable[[Subject], Series]:
    return lambda subject: [((), value(subject))]


def _each_device(value: Callable[[DeviceIo], int]) -> Callable[[Subject], Series]:
    return lambda subject: [((each.device,), value(each)) for each in subject.usage.io]


def _of_disk(value: Callable[[Subject], int | None]) -> Callable[[Subject], Series]:
    def series(subject: Subject) -> Series:
        number = value(subject)
        return [] if number is None else [((subject.file_system.device,), number)]

    return series


def _stalled(resource: str, by: str) -> Callable[[Subject], Series]:
    def series(subject: Subject) -> Series:
        found: Pressure | None = subject.usage.pressure.get(Stalled(resource, by))
        return [] if found is None else [((), found.total_us // 1_000_000)]

    return series


def _faults(subject: Subject) -> Series:
    memory = subject.usage.memory
    return [(("pgfault", "hierarchy"), memory.page_faults), (("pgmajfault", "hierarchy"), memory.major_page_faults)]


def _by_operation(subject: Subject) -> Series:
    for each in subject.usage.io:
        major, _, minor = each.device.partition(":")
        yield (each.device, major, minor, "Read"), each.read_bytes
        yield (each.device, major, minor, "Write"), each.write_bytes


def _huge(usage: bool) -> Callable[[Subject], Series]:
    return lambda subject: [
        ((each.page_size,), each.usage if usage else each.max_usage) for each in subject.usage.huge_pages
    ]


def _counter(name: str, text: str, value: Callable[[Subject], int]) -> Kind:
    return Kind(name, text, _one(value), v1.COUNTER)


def _gauge(name: str, text: str, value: Callable[[Subject], int]) -> Kind:
    return Kind(name, text, _one(value))


def _io(name: str, text: str, value: Callable[[DeviceIo], int]) -> Kind:
    return Kind(name, text, _each_device(value), v1.COUNTER, ("device",))


def _disk(name: str, text: str, value: Callable[[Subject], int | None]) -> Kind:
    return Kind(name, text, _of_disk(value), v1.GAUGE, ("device",))


OF_CONTAINER = (
    _counter("container_cpu_usage_seconds_total", "CPU time used.", lambda s: s.usage.cpu.usage_ns // _SECOND),
    _counter("container_cpu_user_seconds_total", "CPU time used in user mode.",
             lambda s: s.usage.cpu.user_ns // _SECOND),
    _counter("container_cpu_system_seconds_total", "CPU time used in the kernel.",
             lambda s: s.usage.cpu.system_ns // _SECOND),
    _counter("container_cpu_cfs_periods_total", "Periods with a CPU quota.", lambda s: s.usage.cpu.periods),
    _counter("container_cpu_cfs_throttled_periods_total", "Periods in which the quota was used up.",
             lambda s: s.usage.cpu.throttled_periods),
    _counter("container_cpu_cfs_throttled_seconds_total", "Time spent waiting for quota.",
             lambda s: s.usage.cpu.throttled_ns // _SECOND),
    _gauge("container_memory_usage_bytes", "Memory charged, page cache included.", lambda s: s.usage.memory.usage),
    _gauge("container_memory_working_set_bytes", "Memory charged, less the page cache that can go at once.",
           lambda s: s.usage.memory.working_set),
    _gauge("container_memory_rss", "Anonymous memory.", lambda s: s.usage.memory.rss),
    _gauge("container_memory_cache", "Page cache.", lambda s: s.usage.memory.cache),
    _gauge("container_memory_mapped_file", "Mapped files.", lambda s: s.usage.memory.mapped_file),
    _gauge("container_memory_swap", "Swap used.", lambda s: s.usage.memory.swap_usage),
    _gauge("container_memory_kernel_usage", "Kernel memory.", lambda s: s.usage.memory.kernel),
    _gauge("container_memory_max_usage_bytes", "Highest memory usage so far.", lambda s: s.usage.memory.max_usage),
    _counter("container_memory_failcnt", "Hits of the memory limit.", lambda s: s.usage.memory.failcnt),
    Kind("container_memory_failures_total", "Page faults.", _faults, v1.COUNTER, ("failure_type", "scope")),
    _counter("container_oom_events_total", "Processes killed for memory.", lambda s: s.usage.memory.oom_kills),
    _gauge("container_processes", "Processes.", lambda s: s.processes.processes),
    _gauge("container_threads", "Threads.", lambda s: s.usage.pids),
    _gauge("container_threads_max", "Limit of threads; 0 without.", lambda s: s.usage.pids_limit),
    _gauge("container_sockets", "Open sockets.", lambda s: s.processes.sockets),
    _gauge("container_file_descriptors", "Open files.", lambda s: s.processes.file_descriptors),
    Kind("container_ulimits_soft", "Soft limits of the first process.",
         lambda s: [((name,), value) for name, value in s.processes.ulimits], v1.GAUGE, ("ulimit",)),
    _gauge("container_last_seen", "When it was seen last, in seconds since the epoch.",
           lambda s: s.usage.timestamp_ns // _SECOND),
    _gauge("container_start_time_seconds", "When it was started, in seconds since the epoch.",
           lambda s: s.started_ns // _SECOND),
    _gauge("container_spec_cpu_period", "CPU period, in microseconds.", lambda s: s.usage.cpu.period_us),
    _gauge("container_spec_cpu_quota", "CPU quota, in microseconds; 0 without.", lambda s: s.usage.cpu.quota_us),
    _gauge("container_spec_cpu_shares", "CPU weight.", lambda s: s.usage.cpu.shares),
    _gauge("container_spec_memory_limit_bytes", "Memory limit; 0 without.", lambda s: s.usage.memory.limit),
    _gauge("container_spec_memory_swap_limit_bytes", "Limit of swap; 0 without.",
           lambda s: s.usage.memory.swap_limit),
    _gauge("container_spec_memory_reservation_limit_bytes", "Memory reservation; 0 without.",
           lambda s: s.usage.memory.soft_limit),
    _disk("container_fs_usage_bytes", "Bytes written outside mounts.", lambda s: s.written.used_bytes),
    _disk("container_fs_limit_bytes", "Size of the file system.", lambda s: s.file_system.size),
    _disk("container_fs_inodes_total", "Inodes of the file system.", lambda s: s.file_system.inodes),
    _disk("container_fs_inodes_free", "Inodes left on the file system.", lambda s: s.file_system.free_inodes),
    _io("container_fs_reads_total", "Reads from a device.", lambda each: each.reads),
    _io("container_fs_writes_total", "Writes to a device.", lambda each: each.writes),
    _io("container_fs_reads_bytes_total", "Bytes read from a device.", lambda each: each.read_bytes),
    _io("container_fs_writes_bytes_total", "Bytes written to a device.", lambda each: each.write_bytes),
    Kind("container_blkio_device_usage_total", "Bytes to and from a device.", _by_operation, v1.COUNTER,
         ("device", "major", "minor", "operation")),
    Kind("container_hugetlb_usage_bytes", "Huge pages used.", _huge(usage=True), v1.GAUGE, ("pagesize",)),
    Kind("container_hugetlb_max_usage_bytes", "Most huge pages used so far.", _huge(usage=False), v1.GAUGE,
         ("pagesize",)),
    *(
        Kind(f"container_pressure_{resource}_{word}_seconds_total", f"Time that {who} waited for {resource}.",
             _stalled(resource, by), v1.COUNTER)
        for resource in ("cpu", "memory", "io")
        for word, by, who in (("waiting", "some", "any task"), ("stalled", "full", "all tasks"))
    ),
)  # fmt: skip


def _network(way: str, what: str, text: str, value: Callable[[Interface], int]) -> Kind:
    return Kind(
        f"container_network_{way}_{what}_total",
        text,
        lambda subject: [((each.name,), value(each)) for each in subject.interfaces],
        v1.COUNTER,
        ("interface",),
    )


OF_SANDBOX = (
    _network("receive", "bytes", "Bytes received.", lambda each: each.rx_bytes),
    _network("receive", "packets", "Packets received.", lambda each: each.rx_packets),
    _network("receive", "packets_dropped", "Packets dropped when received.", lambda each: each.rx_dropped),
    _network("receive", "errors", "Errors when receiving.", lambda each: each.rx_errors),
    _network("transmit", "bytes", "Bytes sent.", lambda each: each.tx_bytes),
    _network("transmit", "packets", "Packets sent.", lambda each: each.tx_packets),
    _network("transmit", "packets_dropped", "Packets dropped when sent.", lambda each: each.tx_dropped),
    _network("transmit", "errors", "Errors when sending.", lambda each: each.tx_errors),
)
"""The network is the sandbox's."""


def descriptors() -> list[v1.MetricDescriptor]:
    """What ListMetricDescriptors answers."""
    return [kind.descriptor() for kind in (*OF_CONTAINER, *OF_SANDBOX)]


def measured(kinds: Iterable[Kind], subject: Subject, common: Sequence[str]) -> list[v1.Metric]:
    """The metrics of ``kinds`` that ``subject`` has numbers for; ``common`` are the values of COMMON."""
    return [
        v1.Metric(
            name=kind.name,
            timestamp=subject.usage.timestamp_ns,
            metric_type=kind.type,
            label_values=[*common, *extra],
            value=v1.UInt64Value(value=value),
        )
        for kind in kinds
        for extra, value in kind.series(subject)
    ]
