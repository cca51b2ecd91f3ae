"""The cgroup of a pod, where the driver is cgroupfs."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtimes.podman.features import EngineFacts
from runtimes.shared import processes

HIERARCHIES = Path("/sys/fs/cgroup")
BELOW_SLICE = "pods"
MONITORS = "conmon"
"""Podman's cgroup for the monitors of a pod's containers, below the pod's."""


def parent(path: str, facts: EngineFacts) -> str:
    """The parent in the form that Podman takes. Pure. With the cgroupfs driver it refuses a path whose last part looks
    like a systemd slice; a level below it does not."""
    if path.rstrip("/").endswith(".slice") and facts.cgroup_driver != "systemd":
        return f"{path.rstrip('/')}/{BELOW_SLICE}"
    return path


def end_exec_monitors(pod: Mapping[str, Any], root: Path = HIERARCHIES) -> None:
    """End the monitors of commands that were run in containers of an inspected pod, which are gone. Podman keeps each
    for five minutes, and would wait three seconds for them before it removes the pod. Blocks."""
    for folder in _folders(pod, root):
        for pid in _members(folder / MONITORS):
            with contextlib.suppress(OSError):
                processes.send(pid, signal.SIGKILL, _is_exec_monitor)


def _members(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _is_exec_monitor(pid: int) -> bool:
    return any(word.endswith(b"/exec_pid") for word in Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0"))


def remove(pod: Mapping[str, Any], root: Path = HIERARCHIES) -> None:
    """Remove what Podman leaves of the cgroup of an inspected pod that is gone: where v1 and v2 are mounted side by
    side it does not look into all hierarchies. Blocks. What is in use, or not ours to remove, stays."""
    for folder in _folders(pod, root):
        for directory, _, _ in os.walk(folder, topdown=False):
            _remove_empty(Path(directory))
        if folder.parent.name == BELOW_SLICE:
            _remove_empty(folder.parent)


def _folders(pod: Mapping[str, Any], root: Path) -> list[Path]:
    """Where an inspected pod may have a cgroup, in each hierarchy."""
    path = str(pod.get("CgroupPath") or "").lstrip("/")
    if not path.endswith(pod["Id"]) or not root.is_dir():
        return []
    return [hierarchy / path for hierarchy in (root, *(each for each in root.iterdir() if each.is_dir()))]


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
