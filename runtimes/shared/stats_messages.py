"""Readings as CRI's stats messages. Pure.

Messages are filled in place: made one by one and put together, each is copied, which takes more than twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cri.v1 import api_pb2 as v1
from runtimes.shared.disk_usage import DiskUsage
from runtimes.shared.process_facts import Interface
from runtimes.shared.usage import Pressure, Stalled, Usage


class _Both(NamedTuple):
    """The keys of one resource."""

    some: Stalled
    full: Stalled


_CPU, _MEMORY, _IO = (_Both(Stalled(name, "some"), Stalled(name, "full")) for name in ("cpu", "memory", "io"))
_NONE = Pressure()


@dataclass(frozen=True, slots=True)
class Measured:
    """A reading of one container and its CPU rate (nanoseconds a second), None before the second reading."""

    usage: Usage
    cpu_rate: int | None = None


def container(
    attributes: v1.ContainerAttributes, measured: Measured, written: DiskUsage, mountpoint: str
) -> v1.ContainerStats:
    """ContainerStats. ``written`` is what the container wrote outside mounts, on the file system at ``mountpoint``."""
    timestamp, memory = measured.usage.timestamp_ns, measured.usage.memory
    answer = v1.ContainerStats(attributes=attributes)
    _tell_cpu(answer.cpu, [measured])
    _tell_memory(answer.memory, [measured])
    _tell_io(answer.io, [measured])
    swap = answer.swap
    swap.timestamp = timestamp
    swap.swap_available_bytes.value = memory.swap_available
    swap.swap_usage_bytes.value = memory.swap_usage
    if written.used_bytes is not None:
        layer = answer.writable_layer
        layer.timestamp = timestamp
        layer.fs_id.mountpoint = mountpoint
        layer.used_bytes.value = written.used_bytes
        if written.inodes is not None:
            layer.inodes_used.value = written.inodes
    return answer


def sandbox(
    measured: Sequence[Measured], interfaces: Sequence[Interface], containers: Sequence[v1.ContainerStats]
) -> v1.LinuxPodSandboxStats:
    """The sandbox as the sum of its containers, ``measured`` with the pause container first. No interface: it is on
    the host's network."""
    timestamp = measured[0].usage.timestamp_ns
    answer = v1.LinuxPodSandboxStats(containers=containers)
    _tell_cpu(answer.cpu, measured)
    _tell_memory(answer.memory, measured)
    _tell_io(answer.io, measured)
    answer.process.timestamp = timestamp
    answer.process.process_count.value = sum(each.usage.pids for each in measured)
    if interfaces:
        answer.network.timestamp = timestamp
        answer.network.default_interface.CopyFrom(interfaces[0].message())
        answer.network.interfaces.extend(each.message() for each in interfaces[1:])
    return answer


def _tell_cpu(answer: v1.CpuUsage, measured: Sequence[Measured]) -> None:
    answer.timestamp = measured[0].usage.timestamp_ns
    # A value is told even when it is 0, here and below.
    answer.usage_core_nano_seconds.value = sum([each.usage.cpu.usage_ns for each in measured])
    rates = [each.cpu_rate for each in measured if each.cpu_rate is not None]
    if len(rates) == len(measured):
        answer.usage_nano_cores.value = sum(rates)
    _tell_pressure(answer, measured, _CPU)


def _tell_memory(answer: v1.MemoryUsage, measured: Sequence[Measured]) -> None:
    all_of_it = [each.usage.memory for each in measured]
    # A sandbox's pause process has no limit and needs none; it does not make the sandbox one without limit.
    bound = all_of_it[1:] or all_of_it
    answer.timestamp = measured[0].usage.timestamp_ns
    answer.working_set_bytes.value = sum([memory.working_set for memory in all_of_it])
    answer.available_bytes.value = (
        sum([memory.available for memory in bound]) if all(memory.limit for memory in bound) else 0
    )
    answer.usage_bytes.value = sum([memory.usage for memory in all_of_it])
    answer.rss_bytes.value = sum([memory.rss for memory in all_of_it])
    answer.page_faults.value = sum([memory.page_faults for memory in all_of_it])
    answer.major_page_faults.value = sum([memory.major_page_faults for memory in all_of_it])
    _tell_pressure(answer, measured, _MEMORY)


def _tell_io(answer: v1.IoUsage, measured: Sequence[Measured]) -> None:
    answer.timestamp = measured[0].usage.timestamp_ns
    _tell_pressure(answer, measured, _IO)


def _tell_pressure(answer: v1.CpuUsage | v1.MemoryUsage | v1.IoUsage, measured: Sequence[Measured], by: _Both) -> None:
    """Of one container; how long several waited does not add up to how long they did together."""
    pressure = measured[0].usage.pressure
    if len(measured) == 1 and by.some in pressure:
        _tell_psi(answer.psi.Full, pressure.get(by.full, _NONE))
        _tell_psi(answer.psi.Some, pressure[by.some])


def _tell_psi(answer: v1.PsiData, pressure: Pressure) -> None:
    answer.Avg10, answer.Avg60, answer.Avg300, total_us = pressure
    answer.Total = total_us * 1000
