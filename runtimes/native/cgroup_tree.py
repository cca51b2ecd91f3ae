"""The cgroups of sandboxes, above those that the OCI runtime makes for containers: made, limited, removed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.shared import cgroup_limits, cgroup_settings, cgroups, processes
from runtimes.shared.cgroups import Cgroup


def make(path: str) -> Cgroup:
    """The cgroup at ``path`` of every hierarchy, with the ones above it. Raises FailedPrecondition."""
    found = cgroups.at(path)
    for folder in _folders(found):
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            if "cpuset" in found.v1 and folder == found.v1["cpuset"]:
                _inherit_cpuset(folder)
        except OSError as error:
            raise FailedPrecondition(f"the cgroup {folder} cannot be made: {error.strerror}") from error
    if found.unified is not None and not found.v1:
        _pass_controllers_on(found.unified, path)
    return found


def remove(path: str, *, keep: str) -> bool:
    """The cgroup at ``path`` with all below it, and those above it that are empty, down to ``keep``, which goes too if
    nothing is left in it. What is in use stays. Whether it is gone."""
    place = cgroups.at(path)
    for folder in _folders(place):
        for directory, _, _ in os.walk(folder, topdown=False):
            _remove_empty(Path(directory))
    if keep and path.startswith(keep.rstrip("/") + "/"):
        for folder in _folders(cgroups.at(keep)):
            _remove_empty(folder)
    return not any(folder.exists() for folder in _folders(place))


def limit(cgroup: Cgroup, total: v1.LinuxContainerResources) -> None:
    """Set limits on a sandbox's cgroup. Raises FailedPrecondition."""
    wanted = cgroup_settings.settings(total)
    add = wanted.append
    if total.cpu_shares:
        weight = str(cgroup_limits.weight(total.cpu_shares))
        if cgroup.is_v2("cpu"):
            add(cgroup_settings.Setting("cpu", "", "cpu.weight", weight))
        else:
            add(cgroup_settings.Setting("cpu", "cpu.shares", "", str(total.cpu_shares)))
    if total.cpu_quota:
        period = total.cpu_period or 100_000
        if cgroup.is_v2("cpu"):
            quota = str(total.cpu_quota) if total.cpu_quota > 0 else "max"
            add(cgroup_settings.Setting("cpu", "", "cpu.max", f"{quota} {period}"))
        else:
            add(cgroup_settings.Setting("cpu", "cpu.cfs_period_us", "", str(period)))
            add(cgroup_settings.Setting("cpu", "cpu.cfs_quota_us", "", str(total.cpu_quota)))
    if total.memory_limit_in_bytes:
        value = str(total.memory_limit_in_bytes)
        add(cgroup_settings.Setting("memory", "memory.limit_in_bytes", "memory.max", value))
    cgroup_settings.write(cgroup, wanted)


def total(limits: Iterable[v1.LinuxContainerResources]) -> v1.LinuxContainerResources:
    """CRI: a sandbox's overhead comes on top of its resources. Pure."""
    found = v1.LinuxContainerResources()
    for each in limits:
        for name in ("cpu_shares", "cpu_quota", "memory_limit_in_bytes"):
            setattr(found, name, getattr(found, name) + getattr(each, name))
        found.cpu_period = found.cpu_period or each.cpu_period
        found.hugepage_limits.extend(each.hugepage_limits)
        found.unified.update(each.unified)
    return found


def kill_rest(cgroup: Cgroup, container_id: str) -> None:
    """SIGKILL whatever is left of a container after its first process: one that shares the sandbox's processes takes
    none along."""
    with contextlib.suppress(FileNotFoundError):
        if cgroup.v1 or cgroup.unified is not None:
            processes.kill_listed(cgroup.process_ids)
        else:
            processes.kill_of_container(container_id)


def is_frozen(cgroup: Cgroup) -> bool:
    """Whether its processes are paused. One that is gone is not."""
    try:
        state = cgroup.read("freezer", "cgroup.freeze" if cgroup.is_v2("freezer") else "freezer.state").strip()
    except FileNotFoundError:
        return False
    return state in ("1", "FROZEN", "FREEZING")


def to_text(cgroup: Cgroup) -> str:
    """As a record keeps it."""
    v1_places = {name: str(place) for name, place in cgroup.v1.items()}
    return json.dumps({"unified": str(cgroup.unified or ""), "v1": v1_places})


def from_text(text: str) -> Cgroup:
    """What ``to_text`` wrote; of empty text, a cgroup without files."""
    found: dict[str, Any] = json.loads(text) if text else {"unified": "", "v1": {}}
    unified = Path(found["unified"]) if found["unified"] else None
    return Cgroup(unified, {name: Path(place) for name, place in found["v1"].items()})


def _pass_controllers_on(folder: Path, path: str) -> None:
    """On v2 a cgroup has the files of those controllers only that each one above it passes on."""
    for above in reversed(folder.parents[: path.count("/")]):
        for controller in (above / "cgroup.controllers").read_text().split():
            # One that cannot be passed on is missed where a limit of its is asked for.
            with contextlib.suppress(OSError):
                (above / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit_cpuset(folder: Path) -> None:
    """On v1 a cgroup takes no process before it was told which processors and memory it has."""
    chain = [folder]
    while not (chain[-1] / "cpuset.cpus").read_text().strip():
        chain.append(chain[-1].parent)
    for each in reversed(chain[:-1]):
        for name in ("cpuset.cpus", "cpuset.mems"):
            (each / name).write_text((each.parent / name).read_text())


def _folders(cgroup: Cgroup) -> Iterator[Path]:
    """Each once: controllers may share a hierarchy."""
    places = dict.fromkeys(cgroup.v1.values())
    if cgroup.unified is not None:
        places[cgroup.unified] = None
    yield from places


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
