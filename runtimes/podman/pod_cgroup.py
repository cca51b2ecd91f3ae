"""The cgroup of a pod, where the driver is cgroupfs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtimes.podman.features import EngineFacts

HIERARCHIES = Path("/sys/fs/cgroup")
BELOW_SLICE = "pods"


def parent(path: str, facts: EngineFacts) -> str:
    """The parent in the form that Podman takes. Pure. With the cgroupfs driver it refuses a path whose last part looks
    like a systemd slice; a level below it does not."""
    if path.rstrip("/").endswith(".slice") and facts.cgroup_driver != "systemd":
        return f"{path.rstrip('/')}/{BELOW_SLICE}"
    return path


def remove(pod: Mapping[str, Any], root: Path = HIERARCHIES) -> None:
    """Remove what Podman leaves of the cgroup of an inspected pod that is gone: where v1 and v2 are mounted side by
    side it does not look into all hierarchies. Blocks. What is in use, or not ours to remove, stays."""
    path = str(pod.get("CgroupPath") or "").lstrip("/")
    if not path.endswith(pod["Id"]):
        return
    for hierarchy in (root, *(each for each in root.iterdir() if each.is_dir())) if root.is_dir() else ():
        folder = hierarchy / path
        for directory, _, _ in os.walk(folder, topdown=False):
            _remove_empty(Path(directory))
        if folder.parent.name == BELOW_SLICE:
            _remove_empty(folder.parent)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
