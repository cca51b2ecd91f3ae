"""Stats and metrics of what runs on a real engine."""

from __future__ import annotations

import asyncio

import pytest

from cri.errors import NotFound
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.shared.cpu_rates import SHORTEST_NS
from tests.runtimes import calls
from tests.runtimes.behaviour.hand import RunSandbox


async def stats_of(runtime: Runtime, container_id: str) -> v1.ContainerStats:
    return (await runtime.container_stats(v1.ContainerStatsRequest(container_id=container_id))).stats


async def sandbox_stats(runtime: Runtime, sandbox_id: str) -> v1.PodSandboxStats:
    return (await runtime.pod_sandbox_stats(v1.PodSandboxStatsRequest(pod_sandbox_id=sandbox_id))).stats


async def test_a_running_container_has_numbers_and_times(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    container_id = await calls.start(runtime, await run_sandbox(), "sleep", "1000")
    stats = await stats_of(runtime, container_id)
    assert stats.attributes.id == container_id
    assert stats.attributes.metadata.name == "c"
    assert stats.cpu.usage_core_nano_seconds.value > 0
    assert stats.memory.working_set_bytes.value > 0
    assert stats.writable_layer.inodes_used.value > 0
    assert min(stats.cpu.timestamp, stats.memory.timestamp, stats.writable_layer.timestamp) > 0


async def test_the_second_look_has_a_rate(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    container_id = await calls.start(runtime, await run_sandbox(), "sh", "-c", "while :; do :; done")
    first = await stats_of(runtime, container_id)
    assert not first.cpu.HasField("usage_nano_cores")
    # A rate is of the time that passes: there is no event to wait for.
    await asyncio.sleep(1.5 * SHORTEST_NS / 1e9)
    assert (await stats_of(runtime, container_id)).cpu.usage_nano_cores.value > 0


async def test_what_a_container_writes_counts(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    script = "head -c 1000000 /dev/zero > /file; exec sleep 1000"
    container_id = await calls.start(runtime, await run_sandbox(), "sh", "-c", script)

    async def written() -> int:
        return (await stats_of(runtime, container_id)).writable_layer.used_bytes.value

    deadline = asyncio.get_running_loop().time() + 30
    while await written() < 1_000_000:  # only now and then added up anew, so the first look may come too early
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.5)


async def test_one_that_does_not_run_has_attributes_only(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    container_id = await calls.create(runtime, await run_sandbox(), "true")
    stats = await stats_of(runtime, container_id)
    assert stats.attributes.id == container_id
    assert not stats.HasField("cpu")


async def test_stats_of_what_is_unknown_are_not_found(runtime: Runtime) -> None:
    with pytest.raises(NotFound):
        await stats_of(runtime, "unknown")
    with pytest.raises(NotFound):
        await sandbox_stats(runtime, "unknown")


async def test_a_list_has_those_that_run_and_match(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    one, other = await run_sandbox("one"), await run_sandbox("other")
    running = await calls.start(runtime, one, "sleep", "1000")
    await calls.start(runtime, other, "sleep", "1000")
    await calls.create(runtime, one, "true", name="waiting")
    wanted = v1.ContainerStatsFilter(pod_sandbox_id=one)
    listed = await runtime.list_container_stats(v1.ListContainerStatsRequest(filter=wanted))
    assert [each.attributes.id for each in listed.stats] == [running]
    everything = await runtime.list_container_stats(v1.ListContainerStatsRequest())
    assert len(everything.stats) == 2


async def test_a_container_that_ended_is_no_longer_listed(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    container_id = await calls.start(runtime, await run_sandbox(), "sleep", "1000")
    await stats_of(runtime, container_id)
    await runtime.stop_container(v1.StopContainerRequest(container_id=container_id, timeout=0))
    assert not (await runtime.list_container_stats(v1.ListContainerStatsRequest())).stats
    assert not (await stats_of(runtime, container_id)).HasField("cpu")


async def test_a_sandbox_has_more_than_its_container(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    container_id = await calls.start(runtime, sandbox_id, "sleep", "1000")
    stats = await sandbox_stats(runtime, sandbox_id)
    assert stats.attributes.metadata.uid == "uid-web"
    assert [each.attributes.id for each in stats.linux.containers] == [container_id]
    assert stats.linux.memory.usage_bytes.value >= stats.linux.containers[0].memory.usage_bytes.value
    assert stats.linux.process.process_count.value >= 2
    assert stats.linux.network.default_interface.name == "eth0"


async def test_a_sandbox_on_the_host_s_network_has_no_network_numbers(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    on_host = calls.on_the_host()
    stats = await sandbox_stats(runtime, await run_sandbox(linux=on_host))
    assert not stats.linux.HasField("network")
    assert stats.linux.cpu.timestamp > 0


async def test_a_stopped_sandbox_is_no_longer_listed(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    listed = await runtime.list_pod_sandbox_stats(v1.ListPodSandboxStatsRequest())
    assert [each.attributes.id for each in listed.stats] == [sandbox_id]
    await calls.stop(runtime, sandbox_id)
    assert not (await runtime.list_pod_sandbox_stats(v1.ListPodSandboxStatsRequest())).stats
    assert not (await sandbox_stats(runtime, sandbox_id)).HasField("linux")


async def test_metrics_have_the_labels_that_their_descriptors_name(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    container_id = await calls.start(runtime, sandbox_id, "sleep", "1000")
    descriptors = (await runtime.list_metric_descriptors(v1.ListMetricDescriptorsRequest())).descriptors
    keys = {each.name: list(each.label_keys) for each in descriptors}
    (found,) = (await runtime.list_pod_sandbox_metrics(v1.ListPodSandboxMetricsRequest())).pod_metrics
    (of_container,) = found.container_metrics
    assert (found.pod_sandbox_id, of_container.container_id) == (sandbox_id, container_id)
    for metric in (*found.metrics, *of_container.metrics):
        assert len(metric.label_values) == len(keys[metric.name])
        assert metric.timestamp > 0
    by_name = {each.name: each for each in of_container.metrics}
    labels = dict(zip(keys["container_processes"], by_name["container_processes"].label_values, strict=True))
    assert (labels["container"], labels["pod"], labels["namespace"]) == ("c", "web", "tests")
    assert by_name["container_processes"].value.value == 1
    assert by_name["container_file_descriptors"].value.value > 0
