"""ListMetricDescriptors and ListPodSandboxMetrics, which the kubelet hands on to Prometheus."""

from __future__ import annotations

import pytest

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit

pytestmark = pytest.mark.optional("metrics")

WANTED = {"container_cpu_usage_seconds_total", "container_memory_working_set_bytes"}
"""What the kubelet's resource metrics are made of."""

MISNAMED = "container_fs_inodes_total"
"""How many inodes there can be: a gauge that cAdvisor named like a counter."""


async def descriptors(runtime: Runtime) -> dict[str, v1.MetricDescriptor]:
    listed = (await runtime.list_metric_descriptors(v1.ListMetricDescriptorsRequest())).descriptors
    assert len({each.name for each in listed}) == len(listed), "each name once"
    return {each.name: each for each in listed}


async def metrics_of(runtime: Runtime, sandbox_id: str) -> v1.PodSandboxMetrics:
    listed = (await runtime.list_pod_sandbox_metrics(v1.ListPodSandboxMetricsRequest())).pod_metrics
    (found,) = [each for each in listed if each.pod_sandbox_id == sandbox_id]
    return found


def all_of(pod: v1.PodSandboxMetrics) -> list[v1.Metric]:
    return [*pod.metrics, *(metric for each in pod.container_metrics for metric in each.metrics)]


async def test_every_metric_is_described(runtime: Runtime) -> None:
    """Stats: ListMetricDescriptors is part of conformance."""
    known = await descriptors(runtime)
    assert set(known) >= WANTED
    for descriptor in known.values():
        assert descriptor.help
        assert descriptor.label_keys


async def test_every_metric_of_a_sandbox_has_a_descriptor(runtime: Runtime, sandbox: str, running: str) -> None:
    """Stats: ListPodSandboxMetrics is part of conformance: no metric without a descriptor."""
    known = await descriptors(runtime)
    assert {metric.name for metric in all_of(await metrics_of(runtime, sandbox))} <= set(known)


async def test_every_metric_has_a_value_for_each_label(runtime: Runtime, sandbox: str, running: str) -> None:
    """Stats: label values stand in the order of the descriptor's keys."""
    known = await descriptors(runtime)
    for metric in all_of(await metrics_of(runtime, sandbox)):
        assert len(metric.label_values) == len(known[metric.name].label_keys), metric.name


async def test_the_containers_of_a_sandbox_are_measured(runtime: Runtime, sandbox: str, running: str) -> None:
    """Stats: ListPodSandboxMetrics: of every sandbox and its containers."""
    pod = await metrics_of(runtime, sandbox)
    (own,) = [each for each in pod.container_metrics if each.container_id == running]
    assert {metric.name for metric in own.metrics} >= WANTED


async def test_every_metric_is_stamped_and_has_a_value(runtime: Runtime, sandbox: str, running: str) -> None:
    """Stats: timestamps > 0."""
    for metric in all_of(await metrics_of(runtime, sandbox)):
        assert metric.timestamp > 0, metric.name
        assert metric.HasField("value"), metric.name


async def test_no_metric_comes_twice_with_the_same_labels(runtime: Runtime, sandbox: str, running: str) -> None:
    """Stats: Prometheus refuses a page with duplicates."""
    seen = [(metric.name, *metric.label_values) for metric in all_of(await metrics_of(runtime, sandbox))]
    assert len(seen) == len(set(seen))


async def test_what_is_named_total_is_a_counter(runtime: Runtime, sandbox: str, running: str) -> None:
    """Stats: the type is what the name promises."""
    for metric in all_of(await metrics_of(runtime, sandbox)):
        if metric.name.endswith("_total") and metric.name != MISNAMED:
            assert metric.metric_type == v1.COUNTER, metric.name


async def test_memory_is_a_gauge_above_zero(runtime: Runtime, sandbox: str, running: str) -> None:
    """Stats: working set."""
    pod = await metrics_of(runtime, sandbox)
    (own,) = [each for each in pod.container_metrics if each.container_id == running]
    (memory,) = [each for each in own.metrics if each.name == "container_memory_working_set_bytes"]
    assert memory.metric_type == v1.GAUGE
    assert memory.value.value > 0


async def test_a_sandbox_that_is_gone_is_not_measured(runtime: Runtime, kit: Kit) -> None:
    """Ids and lists: one item that vanishes is skipped."""
    sandbox_id = await kit.sandbox()
    await kit.remove_sandbox(sandbox_id)
    listed = (await runtime.list_pod_sandbox_metrics(v1.ListPodSandboxMetricsRequest())).pod_metrics
    assert sandbox_id not in {each.pod_sandbox_id for each in listed}


async def test_streamed_metrics_are_the_listed_ones(runtime: Runtime, sandbox: str, running: str) -> None:
    """gRPC: Stream* RPCs page large lists and end with EOF."""
    request = v1.StreamPodSandboxMetricsRequest()
    pages = [page async for page in runtime.stream_pod_sandbox_metrics(request)]
    assert sandbox in [each.pod_sandbox_id for page in pages for each in page.pod_sandbox_metrics]
