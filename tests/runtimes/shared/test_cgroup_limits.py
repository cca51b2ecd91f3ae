"""What cgroup files say of a container's limits, beside what the engine says."""

from __future__ import annotations

from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.shared.cgroup_limits import limits_now
from runtimes.shared.cgroups import Cgroup

Limits = v1.LinuxContainerResources


def v2(folder: Path, **files: str) -> Cgroup:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text + "\n")
    return Cgroup(folder, {})


def test_a_later_limit_is_the_one_that_counts(tmp_path: Path) -> None:
    cgroup = v2(tmp_path, memory_max="100663296", cpu_max="50000 100000")
    found = limits_now(cgroup, Limits(memory_limit_in_bytes=64 << 20))
    assert (found.memory_limit_in_bytes, found.cpu_quota, found.cpu_period) == (96 << 20, 50000, 100000)


def test_a_limit_that_was_lifted_is_none(tmp_path: Path) -> None:
    assert limits_now(v2(tmp_path, memory_max="max"), Limits(memory_limit_in_bytes=64 << 20)).memory_limit_in_bytes == 0


@pytest.mark.parametrize("shares", [2, 256, 512, 1000, 262144])
def test_shares_that_the_kernel_rounds_are_as_they_were_asked_for(tmp_path: Path, shares: int) -> None:
    weight = 1 + (shares - 2) * 9999 // 262142
    assert limits_now(v2(tmp_path, cpu_weight=str(weight)), Limits(cpu_shares=shares)).cpu_shares == shares


def test_bytes_that_the_kernel_rounds_are_as_they_were_asked_for(tmp_path: Path) -> None:
    found = limits_now(v2(tmp_path, memory_max=str(10 * 4096)), Limits(memory_limit_in_bytes=10 * 4096 + 7))
    assert found.memory_limit_in_bytes == 10 * 4096 + 7


def test_shares_of_cgroup_v1_are_exact(tmp_path: Path) -> None:
    (tmp_path / "cpu.shares").write_text("256\n")
    assert limits_now(Cgroup(None, {"cpu": tmp_path}), Limits(cpu_shares=512)).cpu_shares == 256


def test_nothing_is_made_up_where_there_are_no_files(tmp_path: Path) -> None:
    said = Limits(memory_limit_in_bytes=1 << 20, cpu_shares=7, cpuset_cpus="0")
    assert limits_now(Cgroup(None, {}), said) == said
