"""What limits become in Docker's API, and back; no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker import resources
from runtimes.shared.engine_process import EngineProcess
from tests.runtimes.docker.examples import facts


def limits(**fields: Any) -> v1.LinuxContainerResources:
    return v1.LinuxContainerResources(**fields)


def test_what_is_not_said_is_not_limited() -> None:
    assert resources.options(limits(), facts()) == {"OomScoreAdj": 0}


def test_limits_go_to_the_engine_by_its_names() -> None:
    wanted = limits(cpu_period=1, cpu_quota=2, cpu_shares=3, cpuset_cpus="0", cpuset_mems="1", memory_limit_in_bytes=4)
    assert resources.options(wanted, facts()) == {
        "CpuPeriod": 1,
        "CpuQuota": 2,
        "CpuShares": 3,
        "CpusetCpus": "0",
        "CpusetMems": "1",
        "Memory": 4,
        "MemorySwap": -1,
        "OomScoreAdj": 0,
    }


def test_a_swap_limit_that_is_said_is_kept() -> None:
    assert resources.options(limits(memory_limit_in_bytes=4, memory_swap_limit_in_bytes=4), facts())["MemorySwap"] == 4


def test_an_oom_score_that_the_engine_cannot_give_becomes_the_lowest_that_it_can() -> None:
    engine = facts(process=EngineProcess(oom_score_adj_floor=-500))
    assert resources.options(limits(oom_score_adj=-999), engine)["OomScoreAdj"] == -500
    assert resources.options(limits(oom_score_adj=900), engine)["OomScoreAdj"] == 900


@pytest.mark.parametrize(("word", "limit"), [("12", 12), ("max", -1)])
def test_the_limit_of_processes_is_the_cgroup_file_that_docker_knows(word: str, limit: int) -> None:
    assert resources.options(limits(unified={"pids.max": word}), facts())["PidsLimit"] == limit


@pytest.mark.parametrize("word", ["", "0", "-1", "many"])
def test_a_limit_of_processes_that_is_no_number_is_refused(word: str) -> None:
    with pytest.raises(InvalidArgument, match=r"pids\.max"):
        resources.options(limits(unified={"pids.max": word}), facts())


HERE = EngineProcess(visible=True)
HIGH = limits(unified={"memory.high": "1"})
HUGE = limits(hugepage_limits=[v1.HugepageLimit(page_size="2MB", limit=1)])


@pytest.mark.parametrize("wanted", [HIGH, HUGE], ids=["cgroup file", "huge pages"])
def test_what_docker_has_no_field_for_is_left_to_the_cgroup_files(wanted: v1.LinuxContainerResources) -> None:
    assert resources.options(wanted, facts(process=HERE, CgroupVersion="2")) == {"OomScoreAdj": 0}


@pytest.mark.parametrize("wanted", [HIGH, HUGE], ids=["cgroup file", "huge pages"])
def test_cgroup_files_of_another_host_are_refused(wanted: v1.LinuxContainerResources) -> None:
    with pytest.raises(Unimplemented, match="another host"):
        resources.options(wanted, facts(CgroupVersion="2"))


def test_a_file_of_cgroup_v2_is_refused_where_there_is_v1() -> None:
    with pytest.raises(Unimplemented, match=r"'memory\.high' needs cgroup v2"):
        resources.options(HIGH, facts(process=HERE))
    with pytest.raises(Unimplemented, match="needs cgroup v2"):
        resources.update(HIGH, {}, facts(process=HERE))


def test_the_zero_huge_pages_that_the_kubelet_always_sends_are_fine_anywhere() -> None:
    wanted = limits(hugepage_limits=[v1.HugepageLimit(page_size="2MB", limit=0)])
    assert resources.options(wanted, facts()) == {"OomScoreAdj": 0}


def test_an_update_says_only_what_is_said() -> None:
    assert resources.update(limits(cpu_shares=7), {"Memory": 5, "MemorySwap": 5}, facts()) == {"CpuShares": 7}


def test_an_update_of_memory_keeps_swap_without_limit() -> None:
    assert resources.update(limits(memory_limit_in_bytes=9), {"MemorySwap": -1}, facts()) == {
        "Memory": 9,
        "MemorySwap": -1,
    }
    assert resources.update(limits(memory_limit_in_bytes=9), {"MemorySwap": 20}, facts()) == {"Memory": 9}


def test_the_status_gives_limits_back_as_they_were_asked_for() -> None:
    wanted = limits(
        cpu_quota=2, memory_limit_in_bytes=4, memory_swap_limit_in_bytes=4, oom_score_adj=5, unified={"pids.max": "12"}
    )
    assert resources.status(resources.options(wanted, facts())).linux == wanted
