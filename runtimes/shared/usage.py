"""What a container uses, as plain numbers: one reading of its cgroup, whichever version the files have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Cpu(NamedTuple):
    """Times since the beginning, in nanoseconds; limits in microseconds, 0 where there is none."""

    usage_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0
    shares: int = 0
    quota_us: int = 0
    period_us: int = 0


class Memory(NamedTuple):
    """Bytes and counts. A limit is 0 when there is none."""

    usage: int = 0
    max_usage: int = 0
    limit: int = 0
    soft_limit: int = 0
    rss: int = 0
    cache: int = 0
    mapped_file: int = 0
    kernel: int = 0
    inactive_file: int = 0
    page_faults: int = 0
    major_page_faults: int = 0
    failcnt: int = 0
    oom_kills: int = 0
    swap_usage: int = 0
    swap_limit: int = 0

    @property
    def working_set(self) -> int:
        """CRI: usage without the file cache that the kernel can drop at once."""
        return max(0, self.usage - self.inactive_file)

    @property
    def available(self) -> int:
        """CRI: what is left until the limit; 0 when there is no limit."""
        return max(0, self.limit - self.working_set) if self.limit else 0

    @property
    def swap_available(self) -> int:
        return max(0, self.swap_limit - self.swap_usage) if self.swap_limit else 0


@dataclass(frozen=True, slots=True)
class DeviceIo:
    """Bytes and operations of one block device, ``major:minor``."""

    device: str
    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class HugePages:
    """Bytes in pages of one size, such as ``2MB``."""

    page_size: str
    usage: int
    max_usage: int


class Pressure(NamedTuple):
    """Percent of time stalled over 10, 60 and 300 seconds, and the total in microseconds."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total_us: int = 0


class Stalled(NamedTuple):
    """Which resource was waited for (``cpu``, ``memory``, ``io``): by ``some`` tasks, or by all (``full``)."""

    resource: str
    by: str


@dataclass(frozen=True, slots=True)
class Usage:
    """One reading. ``pressure`` is empty on v1 and where the kernel does not measure it."""

    timestamp_ns: int
    cpu: Cpu
    memory: Memory
    io: tuple[DeviceIo, ...] = ()
    huge_pages: tuple[HugePages, ...] = ()
    pids: int = 0
    pids_limit: int = 0
    pressure: Mapping[Stalled, Pressure] = field(default_factory=dict)
