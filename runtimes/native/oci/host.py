"""What this host has, read from /proc and /sys."""

from __future__ import annotations

import json
import os
import platform
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cri import platforms
from cri.errors import FailedPrecondition
from runtimes.native import kernel
from runtimes.native.oci.facts import HostFacts
from runtimes.shared import cgroups, engine_process

PROFILES = (Path("/etc/containers/seccomp.json"), Path("/usr/share/containers/seccomp.json"))
"""Where the administrator's and the package's default profile are, as for every engine that uses them."""

_HIERARCHIES = Path("/sys/fs/cgroup")


def look(*, cgroup_driver: str, seccomp_profile: Path | None = None, pids_limit: int = 2048) -> HostFacts:
    """Look around. Blocks. ``seccomp_profile`` takes the place of the host's own. Raises FailedPrecondition for a
    profile that cannot be read."""
    cgroup_v2 = (_HIERARCHIES / "cgroup.controllers").exists()
    rootless = kernel.is_rootless()
    major, minor, *_ = platform.release().split(".")
    return HostFacts(
        kernel=(int(major), int("".join(filter(str.isdigit, minor)))),
        architecture=platforms.host().architecture,
        cgroup_v2=cgroup_v2,
        cgroup_driver=cgroup_driver,
        rootless=rootless,
        swap_limits=_swap_limits(cgroup_v2),
        seccomp=Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
        # Profiles are loaded into the kernel by the host's root.
        apparmor=not rootless and _text("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        selinux=Path("/sys/fs/selinux/enforce").exists(),
        process=engine_process.of_process(os.getpid(), rootless=rootless),
        files_limit=_limit(resource.RLIMIT_NOFILE),
        processes_limit=_limit(resource.RLIMIT_NPROC),
        pids_limit=pids_limit,
        seccomp_profile=_profile(seccomp_profile),
    )


def _profile(given: Path | None) -> Mapping[str, Any] | None:
    path = given or next((path for path in PROFILES if path.exists()), None)
    if path is None:
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FailedPrecondition(f"the seccomp profile {str(path)!r} cannot be read: {error}") from error
    return found


def _swap_limits(cgroup_v2: bool) -> bool:
    if not cgroup_v2:
        return (_HIERARCHIES / "memory" / "memory.memsw.limit_in_bytes").exists()
    own = cgroups.of_process(os.getpid()).unified
    # The root has no limits to tell by; there the kernel's parameter does.
    return own in (None, _HIERARCHIES) or (own is not None and (own / "memory.swap.max").exists())


def _limit(kind: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return hard if hard != resource.RLIM_INFINITY else 1 << 62


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
