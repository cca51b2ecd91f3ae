"""The limits that a running container has now, by its cgroup files, for engines that do not tell of later changes."""

from __future__ import annotations

from cri.v1 import api_pb2 as v1
from runtimes.shared.cgroups import UNLIMITED, Cgroup

_PAGE = 4096
_SHARES_SPAN, _WEIGHT_SPAN = 262142, 9999


def limits_now(cgroup: Cgroup, said: v1.LinuxContainerResources) -> v1.LinuxContainerResources:
    """``said`` with what the files say otherwise. What the kernel rounds is not otherwise: v2 keeps fewer steps of CPU
    shares, and memory is counted in pages. Raises FileNotFoundError when the cgroup is gone."""
    found = v1.LinuxContainerResources()
    found.CopyFrom(said)
    memory = _number(cgroup.read("memory", "memory.max" if cgroup.is_v2("memory") else "memory.limit_in_bytes"))
    if memory is not None and memory != said.memory_limit_in_bytes // _PAGE * _PAGE:
        found.memory_limit_in_bytes = memory
    _cpu(cgroup, said, found)
    for field, name in (("cpuset_cpus", "cpuset.cpus"), ("cpuset_mems", "cpuset.mems")):
        now = cgroup.read("cpuset", name).strip()
        # A v1 container without a set of its own has its parent's in there.
        if getattr(said, field) and now:
            setattr(found, field, now)
    return found


def _cpu(cgroup: Cgroup, said: v1.LinuxContainerResources, found: v1.LinuxContainerResources) -> None:
    if cgroup.is_v2("cpu"):
        found_weight = _number(cgroup.read("cpu", "cpu.weight"))
        if found_weight is not None and found_weight != weight(said.cpu_shares or 1024):
            found.cpu_shares = 2 + (found_weight - 1) * _SHARES_SPAN // _WEIGHT_SPAN
        quota, _, period = cgroup.read("cpu", "cpu.max").strip().partition(" ")
    else:
        shares = _number(cgroup.read("cpu", "cpu.shares"))
        if shares is not None and shares != (said.cpu_shares or 1024):
            found.cpu_shares = shares
        quota, period = (cgroup.read("cpu", f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal():
        found.cpu_quota, found.cpu_period = int(quota), int(period)


def weight(shares: int) -> int:
    """As OCI runtimes turn shares into a weight."""
    return 1 + (shares - 2) * _WEIGHT_SPAN // _SHARES_SPAN


def _number(text: str) -> int | None:
    """The number in a file: 0 for no limit, None where there is no such file."""
    word = text.strip()
    if word == "max":
        return 0
    value = int(word) if word.isdecimal() else None
    return 0 if value is not None and value >= UNLIMITED else value
