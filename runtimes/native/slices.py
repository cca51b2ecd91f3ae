"""The cgroups of sandboxes where systemd makes the cgroups: transient slices, which go when they are stopped."""

from __future__ import annotations

from collections.abc import Coroutine

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.native import programs
from runtimes.native.oci import cgroup
from runtimes.shared import cgroup_limits, cgroup_settings, cgroups

_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_TIMEOUT = 30.0
_NO_LIMIT = str((1 << 64) - 1)
"""systemd's word for it, too, is the largest number."""
_PERIOD = 100_000
_SECOND = 1_000_000
_OF_FILES = {
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
}


def properties(total: v1.LinuxContainerResources) -> dict[str, str]:
    """The limits that systemd keeps itself: written past it, they would last until it next writes its own. Pure."""
    found = {}
    if total.cpu_shares:
        found["CPUWeight"] = str(cgroup_limits.weight(total.cpu_shares))
    if total.cpu_quota:
        period = total.cpu_period or _PERIOD
        found["CPUQuotaPeriodUSec"] = str(period)
        found["CPUQuotaPerSecUSec"] = str(total.cpu_quota * _SECOND // period) if total.cpu_quota > 0 else _NO_LIMIT
    if total.memory_limit_in_bytes:
        found["MemoryMax"] = str(total.memory_limit_in_bytes) if total.memory_limit_in_bytes > 0 else _NO_LIMIT
    for file, name in _OF_FILES.items():
        if file in total.unified:
            found[name] = total.unified[file] if total.unified[file].isdecimal() else _NO_LIMIT
    return found


async def make(name: str, total: v1.LinuxContainerResources) -> None:
    """Start the slice ``name`` with these limits; one that runs gets them. Raises FailedPrecondition."""
    limits = properties(total)
    started = await _call("StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail", *_variants(limits), "0")
    if started.code:
        # It runs already, or systemd has its own words for why it cannot.
        await _done(_call("SetUnitProperties", "sba(sv)", name, "true", *_variants(limits)), name)
    if files := cgroup_settings.settings(total, known=frozenset(_OF_FILES)):
        await _done(programs.run(["systemctl", "start", name], timeout=_TIMEOUT), name)
        cgroup_settings.write(cgroups.at(cgroup.path_of(name)), files)


async def remove(name: str) -> None:
    """Stop it, with whatever is still in it. None of that name is fine."""
    await programs.run(["systemctl", "stop", name], timeout=_TIMEOUT)


async def _call(method: str, *arguments: str) -> programs.Ended:
    return await programs.run(["busctl", "call", *_MANAGER, method, *arguments], timeout=_TIMEOUT)


async def _done(running: Coroutine[None, None, programs.Ended], name: str) -> None:
    ended = await running
    if ended.code:
        raise FailedPrecondition(f"systemd does not take the limits of {name}: {ended.words}")


def _variants(limits: dict[str, str]) -> list[str]:
    """As busctl is told an array of properties; every one of these is a number of 64 bits."""
    return [str(len(limits)), *(word for key, value in limits.items() for word in (key, "t", value))]
