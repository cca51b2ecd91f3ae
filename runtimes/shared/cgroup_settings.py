"""Limits that engines have no field for, as cgroup files: ``unified`` and huge pages. Set once a container runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.shared.cgroups import Cgroup

_FILE = re.compile(r"[a-z]+(\.[A-Za-z0-9_]+)+")
_PAGE_SIZE = re.compile(r"[1-9][0-9]*[KMG]B")
_HUGE_PAGES = "hugetlb"


@dataclass(frozen=True, slots=True)
class Setting:
    """One file. ``needed`` is False where a host that has no such file fulfils the wish already."""

    controller: str
    file_v1: str
    file_v2: str
    value: str
    needed: bool = True


def settings(limits: v1.LinuxContainerResources, *, known: frozenset[str] = frozenset()) -> list[Setting]:
    """The files that ``limits`` ask for, less those in ``known``, which the engine sets itself. Pure.
    Raises InvalidArgument for what is the name of no cgroup file or page size."""
    found = []
    for limit in limits.hugepage_limits:
        if not _PAGE_SIZE.fullmatch(limit.page_size):
            raise InvalidArgument(f"resources.hugepage_limits: {limit.page_size!r} is no page size; write 2MB or 1GB")
        name = f"{_HUGE_PAGES}.{limit.page_size}"
        # The kubelet sends a limit of 0 for every size, and nobody gets huge pages where nobody counts them.
        found.append(
            Setting(_HUGE_PAGES, f"{name}.limit_in_bytes", f"{name}.max", str(limit.limit), needed=limit.limit > 0)
        )
    for name, value in limits.unified.items():
        if name in known:
            continue
        if not _FILE.fullmatch(name) or name.startswith("cgroup."):
            raise InvalidArgument(f"resources.unified: {name!r} is no file of a cgroup v2 controller, like memory.high")
        found.append(Setting(name.partition(".")[0], "", name, value))
    return found


def write(cgroup: Cgroup, wanted: list[Setting]) -> None:
    """Set the files. Raises FailedPrecondition for one that this host has not or that does not take the value,
    FileNotFoundError when the cgroup is gone."""
    for setting in wanted:
        v2 = cgroup.is_v2(setting.controller)
        folder = cgroup.unified if v2 else cgroup.v1[setting.controller]
        name = setting.file_v2 if v2 else setting.file_v1
        if folder is not None and not folder.exists():
            raise FileNotFoundError(folder)
        if folder is None or not name or not (folder / name).exists():
            if setting.needed:
                raise FailedPrecondition(f"this host has no cgroup file {setting.file_v2!r}")
            continue
        try:
            (folder / name).write_text(setting.value)
        except OSError as error:
            raise FailedPrecondition(
                f"the cgroup file {name!r} does not take {setting.value!r}: {error.strerror}"
            ) from error
