"""What readings become in CRI's messages; no engine is needed."""

from __future__ import annotations

from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.shared import metrics, stats_messages
from runtimes.shared.cpu_rates import SHORTEST_NS, CpuRates
from runtimes.shared.disk_usage import DiskUsage, FileSystem
from runtimes.shared.process_facts import Interface, ProcessFacts
from runtimes.shared.stats_messages import Measured
from runtimes.shared.usage import Cpu, DeviceIo, HugePages, Memory, Pressure, Stalled, Usage

SECOND = 1_000_000_000


def usage(**fields: Any) -> Usage:
    parts: dict[str, Any] = {"timestamp_ns": 5, "cpu": Cpu(), "memory": Memory()}
    return Usage(**parts | fields)


def limited(limit: int, used: int) -> Measured:
    return Measured(usage(memory=Memory(usage=used, limit=limit)))


def of_container(measured: Measured, written: DiskUsage | None = None) -> v1.ContainerStats:
    return stats_messages.container(v1.ContainerAttributes(id="c"), measured, written or DiskUsage(), "/disk")


def test_every_part_says_when_it_was_measured() -> None:
    stats = of_container(Measured(usage()), DiskUsage(1, 2))
    parts = (stats.cpu, stats.memory, stats.swap, stats.io, stats.writable_layer)
    assert {part.timestamp for part in parts} == {5}


def test_a_rate_is_absent_until_there_are_two_readings() -> None:
    assert not of_container(Measured(usage())).cpu.HasField("usage_nano_cores")
    assert of_container(Measured(usage(), 7)).cpu.usage_nano_cores.value == 7


def test_the_rate_is_of_the_time_between_two_readings() -> None:
    rates = CpuRates()
    assert rates.note("c", SECOND, 0) is None
    assert rates.note("c", 3 * SECOND, SECOND) == SECOND // 2
    assert rates.note("other", 3 * SECOND, SECOND) is None


def test_a_reading_right_after_another_repeats_its_rate() -> None:
    rates = CpuRates()
    rates.note("c", SECOND, 0)
    rates.note("c", 2 * SECOND, SECOND)
    assert rates.note("c", 2 * SECOND + SHORTEST_NS - 1, 5 * SECOND) == SECOND


def test_a_rate_is_never_negative() -> None:
    rates = CpuRates()
    rates.note("c", SECOND, 100)
    assert rates.note("c", 2 * SECOND, 50) == 0


def test_an_unknown_size_is_left_out() -> None:
    assert not of_container(Measured(usage())).HasField("writable_layer")
    layer = of_container(Measured(usage()), DiskUsage(9)).writable_layer
    assert layer.used_bytes.value == 9
    assert layer.fs_id.mountpoint == "/disk"
    assert not layer.HasField("inodes_used")


def test_pressure_is_in_nanoseconds_and_only_where_it_is_measured() -> None:
    measured = Measured(usage(pressure={Stalled("cpu", "some"): Pressure(avg10=1.5, total_us=3)}))
    stats = of_container(measured)
    assert stats.cpu.psi.Some == v1.PsiData(Total=3000, Avg10=1.5)
    assert not stats.memory.HasField("psi")


def test_a_sandbox_is_the_sum_of_its_containers() -> None:
    one = Measured(usage(cpu=Cpu(usage_ns=3), memory=Memory(usage=4), pids=1), 10)
    sandbox = stats_messages.sandbox([one, one, one], [], [])
    assert sandbox.cpu.usage_core_nano_seconds.value == 9
    assert sandbox.cpu.usage_nano_cores.value == 30
    assert sandbox.memory.usage_bytes.value == 12
    assert sandbox.process.process_count.value == 3


def test_a_sandbox_has_as_much_left_as_its_containers_when_all_have_limits() -> None:
    pause = limited(0, 1)
    assert stats_messages.sandbox([pause, limited(10, 4), limited(10, 5)], [], []).memory.available_bytes.value == 11
    assert stats_messages.sandbox([pause, limited(10, 4), limited(0, 5)], [], []).memory.available_bytes.value == 0
    assert stats_messages.sandbox([pause], [], []).memory.available_bytes.value == 0


def test_a_sandbox_on_the_host_s_network_has_no_network_of_its_own() -> None:
    one = Measured(usage())
    assert not stats_messages.sandbox([one], [], []).HasField("network")
    network = stats_messages.sandbox([one], [Interface("eth0", rx_bytes=1), Interface("eth1")], []).network
    assert network.default_interface.name == "eth0"
    assert network.default_interface.rx_bytes.value == 1
    assert [each.name for each in network.interfaces] == ["eth1"]


FULL = metrics.Subject(
    usage(
        io=(DeviceIo("8:0", 1, 2, 3, 4),),
        huge_pages=(HugePages("2MB", 0, 0),),
        pressure={Stalled(r, by): Pressure() for r in ("cpu", "memory", "io") for by in ("some", "full")},
    ),
    processes=ProcessFacts(ulimits=(("max_open_files", 1024),)),
    written=DiskUsage(1, 1),
    file_system=FileSystem("8:0", 10, 10, 5),
    interfaces=(Interface("eth0"),),
)
KINDS = (*metrics.OF_CONTAINER, *metrics.OF_SANDBOX)


def test_every_metric_that_is_described_has_values_and_as_many_labels() -> None:
    described = {each.name: len(each.label_keys) for each in metrics.descriptors()}
    found = metrics.measured(KINDS, FULL, ["x"] * len(metrics.COMMON))
    assert {each.name: len(each.label_values) for each in found} == described


def test_metrics_are_described_once_and_explained() -> None:
    descriptors = metrics.descriptors()
    assert len({each.name for each in descriptors}) == len(descriptors)
    assert all(each.help for each in descriptors)


def test_what_only_goes_up_is_a_counter() -> None:
    for kind in KINDS:
        assert (kind.type == v1.COUNTER) == kind.name.endswith("_total") or kind.name in (
            "container_memory_failcnt",
            "container_fs_inodes_total",
        ), kind.name
