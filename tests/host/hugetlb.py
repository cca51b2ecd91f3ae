"""The hugetlb hierarchy of a host with cgroup v1 where v2 still owns it. crun does not go without it; containerd does,
and so Docker, but then tells of no container that it was killed for its memory, and of none what it uses.

What needs it mounts it; it goes with the last slot that has an engine, and only if it was not there before: one that
goes while runc makes a cgroup in it fails the start of a container."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from tests.host import processes
from tests.host.names import KEEPER, base

CGROUPS = Path("/sys/fs/cgroup")
HUGETLB = CGROUPS / "hugetlb"
USED_BY = ("podman", "native", "docker", "containerd")
"""The directories of slots whose engines make cgroups in it; the first two cannot do without."""

_MOUNT_SOURCE = "minicri-tests"
"""Stands in /proc/mounts for a mount of ours."""


def require() -> None:
    """Mount it where cgroup v1 is mounted without it. Called under the base lock."""
    if (CGROUPS / "memory").is_dir() and not os.path.ismount(HUGETLB):
        HUGETLB.mkdir(exist_ok=True)
        _run("mount", "-t", "cgroup", "-o", "hugetlb", _MOUNT_SOURCE, str(HUGETLB))


def require_for(data: Path) -> None:
    """As ``require``, for an engine that will keep its data there, which is why the hierarchy stays from now on."""
    with contextlib.suppress(FileExistsError):
        data.mkdir(mode=0o711)
    require()


def give_back() -> None:
    """Unmount it if no slot of anybody uses it any more. One that was there before them stays. As ``require``."""
    if any(place.is_dir() for each in bases() for name in USED_BY for place in each.glob(f"*/{name}")):
        return
    if any(line.startswith(f"{_MOUNT_SOURCE} {HUGETLB} ") for line in Path("/proc/mounts").read_text().splitlines()):
        _run("umount", str(HUGETLB))
        with contextlib.suppress(OSError):  # somebody else who needs it has mounted it as well
            HUGETLB.rmdir()


def bases() -> set[Path]:
    """Where anybody's slots are or may be: a run that was told another directory is known by its keepers."""
    told = b"TEST_HOST_DIR="
    keepers = (pid for pid in processes.pids() if KEEPER in processes.command(pid))
    moved = {each for pid in keepers for each in processes.environment(pid) if each.startswith(told)}
    return {base(), *Path("/var/tmp").glob("minicri-*"), *(Path(os.fsdecode(each[len(told) :])) for each in moved)}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
