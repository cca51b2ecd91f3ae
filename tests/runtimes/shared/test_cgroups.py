"""Reading usage from cgroup files: trees of files as the kernel lays them out, and this host's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtimes.shared import cgroup_usage, cgroups
from runtimes.shared.cgroups import Cgroup
from runtimes.shared.usage import DeviceIo, Memory, Pressure, Stalled

NO_LIMIT_V1 = "9223372036854771712"


def files(folder: Path, **contents: str) -> Path:
    """A directory with these files; ``__`` in a name stands for its dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.fixture
def v2(tmp_path: Path) -> Cgroup:
    folder = files(
        tmp_path / "v2",
        cpu__stat="usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 7\n",
        cpu__max="20000 100000\n",
        cpu__weight="100\n",
        memory__current="1000\n",
        memory__max="5000\n",
        memory__stat="anon 300\nfile 600\ninactive_file 400\npgfault 9\npgmajfault 1\n",
        memory__events="low 0\nmax 3\noom 1\noom_kill 2\n",
        memory__swap__current="10\n",
        memory__swap__max="50\n",
        io__stat="8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
        pids__current="6\n",
        pids__max="max\n",
        cpu__pressure="some avg10=1.50 avg60=0.25 avg300=0.00 total=77\n",
    )
    return Cgroup(folder, {})


@pytest.fixture
def v1(tmp_path: Path) -> Cgroup:
    folders = {
        "cpu": files(tmp_path / "cpu", cpu__shares="512\n", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n"),
        "cpuacct": files(tmp_path / "cpuacct", cpuacct__usage="12345\n", cpuacct__stat="user 2\nsystem 1\n"),
        "memory": files(
            tmp_path / "memory",
            memory__usage_in_bytes="1000\n",
            memory__limit_in_bytes="5000\n",
            memory__memsw__limit_in_bytes=NO_LIMIT_V1,
            memory__stat="rss 1\ntotal_rss 300\ntotal_inactive_file 400\n",
            memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ),
        "blkio": files(
            tmp_path / "blkio",
            blkio__throttle__io_service_bytes_recursive="8:0 Read 1\n8:0 Write 2\nTotal 3\n",
            blkio__throttle__io_serviced_recursive="8:0 Read 3\n8:0 Write 4\nTotal 7\n",
        ),
        "pids": files(tmp_path / "pids", pids__current="6\n", pids__max="12\n", cgroup__procs="1\n22\n"),
    }
    return Cgroup(None, folders)


def test_v2_times_are_in_microseconds(v2: Cgroup) -> None:
    cpu = cgroup_usage.read(v2).cpu
    assert (cpu.usage_ns, cpu.user_ns, cpu.system_ns, cpu.throttled_ns) == (30_000, 20_000, 10_000, 7_000)
    assert (cpu.periods, cpu.throttled_periods, cpu.quota_us, cpu.period_us) == (4, 2, 20_000, 100_000)
    assert cpu.shares == 2597


def test_v1_times_are_in_nanoseconds_and_ticks(v1: Cgroup) -> None:
    cpu = cgroup_usage.read(v1).cpu
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert (cpu.usage_ns, cpu.user_ns, cpu.system_ns) == (12_345, 2 * tick, tick)
    assert (cpu.shares, cpu.quota_us) == (512, 0)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_memory_reads_alike_in_both_versions(version: str, request: pytest.FixtureRequest) -> None:
    memory = cgroup_usage.read(request.getfixturevalue(version)).memory
    assert (memory.usage, memory.limit, memory.rss, memory.oom_kills) == (1000, 5000, 300, 2)
    assert (memory.working_set, memory.available) == (600, 4400)


def test_a_swap_limit_is_without_the_memory(v1: Cgroup, v2: Cgroup) -> None:
    assert cgroup_usage.read(v1).memory.swap_limit == 0
    (v1.v1["memory"] / "memory.memsw.limit_in_bytes").write_text("7000\n")
    assert cgroup_usage.read(v1).memory.swap_limit == 2000
    assert cgroup_usage.read(v2).memory.swap_available == 40


def test_nothing_is_available_without_a_limit() -> None:
    assert Memory(usage=5).available == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_io_is_by_device(version: str, request: pytest.FixtureRequest) -> None:
    assert cgroup_usage.read(request.getfixturevalue(version)).io == (DeviceIo("8:0", 1, 2, 3, 4),)


def test_no_limit_of_processes_is_0(v1: Cgroup, v2: Cgroup) -> None:
    assert (cgroup_usage.read(v1).pids, cgroup_usage.read(v1).pids_limit) == (6, 12)
    assert cgroup_usage.read(v2).pids_limit == 0


def test_pressure_is_by_resource_and_by_who_waited(v2: Cgroup) -> None:
    pressure = cgroup_usage.read(v2).pressure
    assert pressure[Stalled("cpu", "some")] == Pressure(1.5, 0.25, 0.0, 77)
    assert Stalled("io", "some") not in pressure


def test_a_missing_file_is_zero_and_a_missing_cgroup_an_error(tmp_path: Path) -> None:
    empty = Cgroup(files(tmp_path / "empty"), {})
    assert cgroup_usage.read(empty).memory.usage == 0
    with pytest.raises(FileNotFoundError):
        cgroup_usage.read(Cgroup(tmp_path / "gone", {}))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_stats_tell_the_same_from_fewer_files(version: str, request: pytest.FixtureRequest) -> None:
    cgroup: Cgroup = request.getfixturevalue(version)
    all_of_it, told = cgroup_usage.read(cgroup), cgroup_usage.for_sandbox_stats(cgroup)
    memory = all_of_it.memory
    assert (told.cpu.usage_ns, told.pids, told.pressure) == (all_of_it.cpu.usage_ns, all_of_it.pids, all_of_it.pressure)
    assert told.memory == memory._replace(max_usage=0, cache=0, mapped_file=0, oom_kills=0, failcnt=0)


def test_stats_of_a_cgroup_that_is_gone_are_an_error(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for cgroup in (Cgroup(gone, {}), Cgroup(None, {"cpuacct": gone, "memory": gone})):
        with pytest.raises(FileNotFoundError):
            cgroup_usage.for_container_stats(cgroup)


def test_a_v1_limit_is_the_container_s_own_not_its_pod_s(v1: Cgroup) -> None:
    (v1.v1["memory"] / "memory.stat").write_text("hierarchical_memory_limit 3000\n")
    assert cgroup_usage.for_container_stats(v1).memory.limit == 5000


def test_a_v1_limit_is_not_looked_for_where_neither_it_nor_those_above_are_one(v1: Cgroup) -> None:
    (v1.v1["memory"] / "memory.stat").write_text(f"hierarchical_memory_limit {NO_LIMIT_V1}\n")
    assert cgroup_usage.for_container_stats(v1).memory.limit == 0


@pytest.mark.parametrize(("name", "number"), [("rss", 1), ("total_rss", 300), ("total", 0), ("swap", 0), ("last", 7)])
def test_a_value_is_found_by_its_whole_name(name: str, number: int) -> None:
    assert cgroups.value("rss 1\ntotal_rss 300\nlast 7", name) == number


def test_processes_are_listed(v1: Cgroup) -> None:
    assert v1.process_ids() == [1, 22]


def test_a_long_list_of_processes_is_read_to_its_end(v1: Cgroup) -> None:
    (v1.v1["pids"] / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in range(10_000)))
    assert v1.process_ids() == list(range(10_000))


def test_a_process_is_found_in_both_hierarchies_of_a_hybrid_host(tmp_path: Path) -> None:
    files(
        tmp_path / "self",
        mountinfo="30 1 0:26 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "31 1 0:27 / /cg/unified rw - cgroup2 cgroup2 rw\n"
        "32 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
    )
    files(tmp_path / "7", cgroup="3:cpu,cpuacct:/docker/a\n1:name=systemd:/docker/a\n0::/b\n")
    assert cgroups.of_process(7, tmp_path) == Cgroup(
        Path("/cg/unified/b"), {"cpu": Path("/cg/cpu,cpuacct/docker/a"), "cpuacct": Path("/cg/cpu,cpuacct/docker/a")}
    )


def test_a_folder_that_is_not_the_container_s_own_does_not_count() -> None:
    cgroup = Cgroup(Path("/cg/unified"), {"cpu": Path("/cg/cpu/docker/abc"), "rdma": Path("/cg/rdma")})
    assert cgroup.only("abc") == Cgroup(None, {"cpu": Path("/cg/cpu/docker/abc")})


def test_a_mount_that_shows_only_a_part_is_taken_as_the_part(tmp_path: Path) -> None:
    files(tmp_path / "self", mountinfo="31 1 0:27 /kubepods /cg rw - cgroup2 cgroup2 rw\n")
    files(tmp_path / "7", cgroup="0::/kubepods/a\n")
    assert cgroups.of_process(7, tmp_path).unified == Path("/cg/a")


def test_a_process_that_ended_is_not_found(tmp_path: Path) -> None:
    files(tmp_path / "self", mountinfo="")
    with pytest.raises(FileNotFoundError):
        cgroups.of_process(7, tmp_path)


def test_this_process_uses_cpu_and_memory() -> None:
    used = cgroup_usage.read(cgroups.of_process(os.getpid()))
    assert used.cpu.usage_ns > 0
    assert used.timestamp_ns > 0
