"""CRI's limits as libpod's, which are those of an OCI bundle, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman.features import EngineFacts

PIDS_MAX = "pids.max"
NO_LIMIT = -1

UNLIMITED_MEMORY = 0x7FFFFFFFFFFFF000
"""Bytes: what the kernel itself takes for no limit. Podman's API refuses the -1 that means it elsewhere."""

_PAGE_SIZE = re.compile(r"[1-9][0-9]*[KMG]B")
_CPU = {
    "cpu_period": "period",
    "cpu_quota": "quota",
    "cpu_shares": "shares",
    "cpuset_cpus": "cpus",
    "cpuset_mems": "mems",
}
_STATUS = {
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory_limit_in_bytes": "Memory",
    "memory_swap_limit_in_bytes": "MemorySwap",
}
"""Fields of ContainerStatus.resources, and of HostConfig, of which 0 and "" mean "not said"."""


def limits(wanted: v1.LinuxContainerResources, facts: EngineFacts) -> dict[str, Any]:
    """``resource_limits`` of a new container, and the body of an update. Raises InvalidArgument, and Unimplemented for
    cgroup files where there is no cgroup v2, and there for everything where the engine is rootless, too."""
    found: dict[str, Any] = {}
    if cpu := {name: getattr(wanted, field) for field, name in _CPU.items() if getattr(wanted, field)}:
        found["cpu"] = cpu
    if memory := _memory(wanted):
        found["memory"] = memory
    if wanted.hugepage_limits:
        found["hugepageLimits"] = [_huge_pages(each) for each in wanted.hugepage_limits]
    files = dict(wanted.unified)
    if PIDS_MAX in files:
        found["pids"] = {"limit": _pids(files.pop(PIDS_MAX))}
    if files:
        if not facts.features.cgroup_v2:
            raise Unimplemented(
                f"resources.unified: {', '.join(sorted(files))} needs cgroup v2, which this host has not"
            )
        found["unified"] = files
    if found and facts.features.rootless and not facts.features.cgroup_v2:
        raise Unimplemented(
            f"resources: a rootless Podman has no cgroups on cgroup v1, so it cannot limit {sorted(found)}"
        )
    return found


def oom_score_adj(wanted: v1.LinuxContainerResources, facts: EngineFacts) -> int:
    """No lower than the engine can give; left alone the start would fail."""
    return max(wanted.oom_score_adj, facts.process.oom_score_adj_floor)


def status(host: Mapping[str, Any]) -> v1.ContainerResources:
    """ContainerStatus.resources, from the HostConfig of an inspected container."""
    answer = v1.ContainerResources()
    for field, name in _STATUS.items():
        if host.get(name):
            setattr(answer.linux, field, NO_LIMIT if host[name] == UNLIMITED_MEMORY else host[name])
    answer.linux.oom_score_adj = int(host.get("OomScoreAdj") or 0)
    if host.get("PidsLimit"):
        limit = int(host["PidsLimit"])
        answer.linux.unified[PIDS_MAX] = str(limit) if limit > 0 else "max"
    return answer


def _memory(wanted: v1.LinuxContainerResources) -> dict[str, int]:
    found = {}
    if wanted.memory_limit_in_bytes:
        # CRI: no swap limit said is none. Podman would take that for twice the memory.
        found = {"limit": wanted.memory_limit_in_bytes, "swap": UNLIMITED_MEMORY}
    if wanted.memory_swap_limit_in_bytes:
        swap = wanted.memory_swap_limit_in_bytes
        found["swap"] = UNLIMITED_MEMORY if swap == NO_LIMIT else swap
    return found


def _huge_pages(wanted: v1.HugepageLimit) -> dict[str, Any]:
    if not _PAGE_SIZE.fullmatch(wanted.page_size):
        raise InvalidArgument(f"resources.hugepage_limits: {wanted.page_size!r} is no page size; write 2MB or 1GB")
    return {"pageSize": wanted.page_size, "limit": wanted.limit}


def _pids(text: str) -> int:
    if text == "max":
        return NO_LIMIT
    if not text.isdecimal() or int(text) == 0:
        raise InvalidArgument(f"resources.unified: {PIDS_MAX} is {text!r}; write a number above 0, or max")
    return int(text)
