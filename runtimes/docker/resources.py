"""CRI's limits as Docker's, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.features import EngineFacts
from runtimes.shared import cgroup_settings

PIDS_MAX = "pids.max"
KNOWN_FILES = frozenset({PIDS_MAX})
"""Cgroup files that Docker has a field for."""

NO_LIMIT = -1

_PLAIN = {
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory_limit_in_bytes": "Memory",
    "memory_swap_limit_in_bytes": "MemorySwap",
}
"""Fields that mean the same on both sides, and of which 0 and "" mean "not said"."""


def options(limits: v1.LinuxContainerResources, facts: EngineFacts) -> dict[str, Any]:
    """The part of HostConfig for a new container. What Docker has no field for is set as cgroup files once it runs
    (``cgroup_files``); raises InvalidArgument for what is no such file, Unimplemented where there are none."""
    _check_files(limits, facts)
    found = _said(limits)
    if "Memory" in found:
        # CRI: no swap limit said is none. Docker would take that for twice the memory.
        found.setdefault("MemorySwap", NO_LIMIT)
    found["OomScoreAdj"] = max(limits.oom_score_adj, facts.process.oom_score_adj_floor)
    return found


def update(limits: v1.LinuxContainerResources, now: Mapping[str, Any], facts: EngineFacts) -> dict[str, Any]:
    """The body of /containers/ID/update, given the HostConfig that it has ``now``. What is not said stays. Raises as
    ``options`` does."""
    _check_files(limits, facts)
    found = _said(limits)
    if "Memory" in found and now.get("MemorySwap") == NO_LIMIT:
        # Docker compares the new limit with the old -1 as if it were a size, and refuses.
        found.setdefault("MemorySwap", NO_LIMIT)
    return found


def is_limited(host: Mapping[str, Any]) -> bool:
    """Whether a HostConfig names limits. What of them the kernel does not know the engine drops."""
    return any(host.get(name) for name in (*_PLAIN.values(), "PidsLimit"))


def status(host: Mapping[str, Any]) -> v1.ContainerResources:
    """ContainerStatus.resources, from the HostConfig of an inspected container."""
    answer = v1.ContainerResources()
    for field, name in _PLAIN.items():
        if host.get(name):
            setattr(answer.linux, field, host[name])
    answer.linux.oom_score_adj = int(host.get("OomScoreAdj") or 0)
    if host.get("PidsLimit"):
        answer.linux.unified[PIDS_MAX] = _pids_word(int(host["PidsLimit"]))
    return answer


def _said(limits: v1.LinuxContainerResources) -> dict[str, Any]:
    found = {name: getattr(limits, field) for field, name in _PLAIN.items() if getattr(limits, field)}
    if PIDS_MAX in limits.unified:
        found["PidsLimit"] = _pids(limits.unified[PIDS_MAX])
    return found


def _check_files(limits: v1.LinuxContainerResources, facts: EngineFacts) -> None:
    wanted = [each for each in cgroup_settings.settings(limits, known=KNOWN_FILES) if each.needed]
    if wanted and not facts.process.visible:
        raise Unimplemented(
            f"resources: Docker has no field for {wanted[0].file_v2!r}, and the cgroup files of an engine on another "
            "host cannot be set from here"
        )
    for each in wanted:
        if not each.file_v1 and not facts.features.cgroup_v2:
            raise Unimplemented(f"resources.unified: {each.file_v2!r} needs cgroup v2, which this host has not")


def _pids(text: str) -> int:
    if text == "max":
        return NO_LIMIT
    if not text.isdecimal() or int(text) == 0:
        raise InvalidArgument(f"resources.unified: {PIDS_MAX} is {text!r}; write a number above 0, or max")
    return int(text)


def _pids_word(limit: int) -> str:
    return str(limit) if limit > 0 else "max"
