"""Limits, and where the cgroups are that have them."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import cgroup, resources
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import config, context, host, spec

Limits = v1.LinuxContainerResources


def limits(*, v2: bool = False, swap: bool = True, **fields: Any) -> dict[str, Any]:
    return resources.update(Limits(**fields), host(cgroup_v2=v2, swap_limits=swap))


def test_what_is_not_said_is_not_sent() -> None:
    assert limits() == {}


def test_cpu_and_memory_are_the_runtimes_fields() -> None:
    asked: dict[str, Any] = {
        "cpu_period": 100000,
        "cpu_quota": 50000,
        "cpu_shares": 512,
        "cpuset_cpus": "0",
        "cpuset_mems": "0",
    }
    assert limits(**asked, memory_limit_in_bytes=1 << 26, memory_swap_limit_in_bytes=1 << 27) == {
        "cpu": {"period": 100000, "quota": 50000, "shares": 512, "cpus": "0", "mems": "0"},
        "memory": {"limit": 1 << 26, "swap": 1 << 27},
    }


def test_no_limit_of_cpu_or_swap_is_said_too() -> None:
    assert limits(cpu_quota=-1, memory_swap_limit_in_bytes=-1) == {"cpu": {"quota": -1}, "memory": {"swap": -1}}


def test_swap_is_not_limited_by_a_kernel_that_does_not_count_it() -> None:
    assert limits(swap=False, memory_swap_limit_in_bytes=-1) == {}
    with pytest.raises(Unimplemented, match="swap"):
        limits(swap=False, memory_swap_limit_in_bytes=1 << 26)


def test_huge_pages_are_limited_by_size() -> None:
    found = limits(hugepage_limits=[v1.HugepageLimit(page_size="2MB", limit=1 << 21)])
    assert found == {"hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}]}
    with pytest.raises(InvalidArgument, match="page size"):
        limits(hugepage_limits=[v1.HugepageLimit(page_size="2 MB", limit=1)])


def test_files_of_cgroup_v2_need_it() -> None:
    assert limits(v2=True, unified={"memory.high": "1000"}) == {"unified": {"memory.high": "1000"}}
    with pytest.raises(Unimplemented, match=r"memory\.high"):
        limits(unified={"memory.high": "1000"})


@pytest.mark.parametrize("name", ["../memory.high", "cgroup.procs", "memory", "memory.high/.."])
def test_a_name_that_is_no_controllers_file_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="unified"):
        limits(v2=True, unified={name: "1"})


@pytest.mark.parametrize(("text", "limit"), [("10", 10), ("max", -1)])
def test_processes_are_limited_on_either_version(text: str, limit: int) -> None:
    assert limits(unified={"pids.max": text}) == {"pids": {"limit": limit}}


def test_processes_are_limited_unless_told_otherwise() -> None:
    def pids(limit: int, unified: dict[str, str] | None = None) -> Any:
        wanted = config(resources=Limits(unified=unified))
        return spec(wanted, facts=host(pids_limit=limit))["linux"]["resources"].get("pids")

    assert pids(2048) == {"limit": 2048}
    assert pids(2048, {"pids.max": "max"}) == {"limit": -1}
    assert pids(0) is None


def test_an_update_leaves_the_limit_of_processes_alone() -> None:
    assert "pids" not in limits(cpu_shares=100)


@pytest.mark.parametrize(
    ("driver", "wanted", "sandbox", "container"),
    [
        ("cgroupfs", "", "/minicri/S", "/minicri/S/ID"),
        ("cgroupfs", "/kubepods/pod1/", "/kubepods/pod1/S", "/kubepods/pod1/S/ID"),
        ("cgroupfs", "/a.slice", "/a.slice/S", "/a.slice/S/ID"),
        ("systemd", "", "minicri-S.slice", "minicri-S.slice:minicri:ID"),
        ("systemd", "/kube.slice/kube-pod1.slice", "kube-pod1-S.slice", "kube-pod1-S.slice:minicri:ID"),
        ("systemd", "-.slice", "S.slice", "S.slice:minicri:ID"),
    ],
)
def test_a_containers_cgroup_is_below_its_sandboxs(driver: str, wanted: str, sandbox: str, container: str) -> None:
    facts = host(cgroup_driver=driver)
    found = cgroup.of_sandbox(cgroup.parent(wanted, "/minicri", facts), "S", facts)
    assert found == sandbox
    assert cgroup.of_container(found, "ID", facts) == container


@pytest.mark.parametrize(
    ("configured", "expected"),
    [("/minicri", "minicri.slice"), ("/a/b/", "a-b.slice"), ("/a.slice/a-b.slice", "a-b.slice")],
)
def test_the_configured_parent_is_a_slice_where_systemd_makes_cgroups(configured: str, expected: str) -> None:
    assert cgroup.parent("", configured, host(cgroup_driver="systemd")) == expected


@pytest.mark.parametrize(
    ("name", "path"),
    [("/minicri/S", "/minicri/S"), ("S.slice", "/S.slice"), ("a-b-S.slice", "/a.slice/a-b.slice/a-b-S.slice")],
)
def test_a_slice_is_below_those_that_its_name_begins_with(name: str, path: str) -> None:
    assert cgroup.path_of(name) == path


@pytest.mark.parametrize("wanted", ["/../x", "/a/../../x", "/a:b"])
def test_a_parent_outside_of_the_hierarchy_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidArgument, match="cgroup_parent"):
        cgroup.parent(wanted, "/minicri", host())


def test_the_kernel_has_the_limits_that_were_asked_for(crun: Bench) -> None:
    if crun.host.cgroup_v2:
        files = ["memory.max", "cpu.max", "pids.max"]
        expected = ["67108864", "50000 100000", "100"]
    else:
        files = ["memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "pids/pids.max"]
        expected = ["67108864", "50000", "100"]
    asked = Limits(
        memory_limit_in_bytes=1 << 26,
        cpu_period=100000,
        cpu_quota=50000,
        unified={"pids.max": "100"},
        oom_score_adj=500,
    )
    script = "; ".join(f"cat /sys/fs/cgroup/{file}" for file in files) + "; cat /proc/self/oom_score_adj"
    wanted = config(context(), asked, command=["sh", "-c", script])
    assert crun.run(crun.spec(wanted, crun.sandbox())).output.splitlines() == [*expected, "500"]
