"""CRI's limits as OCI's. Pure."""

from __future__ import annotations

from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.oci.facts import HostFacts
from runtimes.shared import cgroup_settings

PIDS_MAX = "pids.max"
KNOWN_FILES = frozenset({PIDS_MAX})
"""Cgroup files that OCI has a field for."""

NO_LIMIT = -1

_CPU = {
    "cpu_period": "period",
    "cpu_quota": "quota",
    "cpu_shares": "shares",
    "cpuset_cpus": "cpus",
    "cpuset_mems": "mems",
}
"""Fields of which 0 and "" mean "not said"."""


def limits(wanted: v1.LinuxContainerResources, host: HostFacts) -> dict[str, Any]:
    """``linux.resources`` of a new container, without its devices. Raises as ``update`` does."""
    found = update(wanted, host)
    if host.pids_limit and host.cgroups:
        found.setdefault("pids", {"limit": host.pids_limit})
    return found


def update(wanted: v1.LinuxContainerResources, host: HostFacts) -> dict[str, Any]:
    """What a running container's limits become; what is not said stays. Raises InvalidArgument for what is no limit,
    Unimplemented for what this host's cgroups have not."""
    found: dict[str, Any] = {}
    if cpu := {name: getattr(wanted, field) for field, name in _CPU.items() if getattr(wanted, field)}:
        found["cpu"] = cpu
    if memory := _memory(wanted, host):
        found["memory"] = memory
    files = cgroup_settings.settings(wanted, known=KNOWN_FILES)
    if wanted.hugepage_limits:
        found["hugepageLimits"] = [{"pageSize": each.page_size, "limit": each.limit} for each in wanted.hugepage_limits]
    if PIDS_MAX in wanted.unified:
        found["pids"] = {"limit": _pids(wanted.unified[PIDS_MAX])}
    if unified := {each.file_v2: each.value for each in files if not each.file_v1}:
        if not host.cgroup_v2:
            raise Unimplemented(
                f"resources.unified: {', '.join(sorted(unified))} needs cgroup v2, which this host has not"
            )
        found["unified"] = unified
    if found and not host.cgroups:
        raise Unimplemented(
            f"resources: the native engine has no cgroups here, so it cannot limit {', '.join(sorted(found))}: "
            f"run it as root, or ask for no limits"
        )
    return found


def _memory(wanted: v1.LinuxContainerResources, host: HostFacts) -> dict[str, int]:
    found = {}
    if wanted.memory_limit_in_bytes:
        found["limit"] = wanted.memory_limit_in_bytes
    # CRI: no swap limit said is none, which is what a cgroup has by itself.
    if wanted.memory_swap_limit_in_bytes:
        if host.swap_limits:
            found["swap"] = wanted.memory_swap_limit_in_bytes
        elif wanted.memory_swap_limit_in_bytes != NO_LIMIT:
            raise Unimplemented("resources.memory_swap_limit_in_bytes: this host's kernel does not count swap")
    return found


def _pids(text: str) -> int:
    if text == "max":
        return NO_LIMIT
    if not text.isdecimal() or int(text) == 0:
        raise InvalidArgument(f"resources.unified: {PIDS_MAX} is {text!r}; write a number above 0, or max")
    return int(text)
