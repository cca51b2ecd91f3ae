"""Setting cgroup files: which ones, and what becomes of them in a tree as the kernel lays it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.shared import cgroup_settings
from runtimes.shared.cgroups import Cgroup


def limits(**fields: Any) -> v1.LinuxContainerResources:
    return v1.LinuxContainerResources(**fields)


def huge(limit: int, size: str = "2MB") -> v1.LinuxContainerResources:
    return limits(hugepage_limits=[v1.HugepageLimit(page_size=size, limit=limit)])


def write(cgroup: Cgroup, wanted: v1.LinuxContainerResources) -> None:
    cgroup_settings.write(cgroup, cgroup_settings.settings(wanted))


def test_a_unified_file_is_written_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "memory.oom.group").write_text("0")
    write(Cgroup(tmp_path, {}), limits(unified={"memory.oom.group": "1"}))
    assert (tmp_path / "memory.oom.group").read_text() == "1"


def test_a_file_that_the_engine_sets_itself_is_left_to_it() -> None:
    wanted = limits(unified={"pids.max": "1"})
    assert cgroup_settings.settings(wanted, known=frozenset({"pids.max"})) == []


@pytest.mark.parametrize("name", ["../memory.high", "memory/high", "memory", "cgroup.procs", "cgroup.kill", ""])
def test_what_is_no_file_of_a_controller_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="unified"):
        cgroup_settings.settings(limits(unified={name: "1"}))


def test_huge_pages_are_limited_in_both_versions(tmp_path: Path) -> None:
    for name in ("hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes"):
        (tmp_path / name).write_text("max")
    write(Cgroup(tmp_path, {}), huge(4096))
    assert (tmp_path / "hugetlb.2MB.max").read_text() == "4096"
    write(Cgroup(None, {"hugetlb": tmp_path}), huge(0))
    assert (tmp_path / "hugetlb.2MB.limit_in_bytes").read_text() == "0"


def test_a_page_size_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="page size"):
        cgroup_settings.settings(huge(1, "../x"))


def test_no_huge_pages_at_all_is_what_a_host_without_them_gives(tmp_path: Path) -> None:
    write(Cgroup(tmp_path, {}), huge(0))
    write(Cgroup(None, {}), huge(0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wanted", [huge(1), limits(unified={"memory.high": "1"})], ids=["huge", "unified"])
def test_a_file_that_the_host_has_not_is_an_error(tmp_path: Path, wanted: v1.LinuxContainerResources) -> None:
    with pytest.raises(FailedPrecondition, match="no cgroup file"):
        write(Cgroup(tmp_path, {}), wanted)


def test_a_value_that_the_kernel_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "memory.high").mkdir()
    with pytest.raises(FailedPrecondition, match="does not take 'x'"):
        write(Cgroup(tmp_path, {}), limits(unified={"memory.high": "x"}))


def test_a_cgroup_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(Cgroup(tmp_path / "gone", {}), huge(0))
