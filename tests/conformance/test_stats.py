"""How much of the machine containers and sandboxes use."""

from __future__ import annotations

import time

import pytest
import pytest_asyncio

from cri.errors import NotFound, Unknown
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import RUN_LABEL, Kit, eventually, shell
from tests.conformance.web import httpd

LIMIT = 64 << 20

pytestmark = pytest.mark.optional("stats")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def limited(shared: Kit, sandbox: str) -> str:
    """A running container with a memory limit."""
    linux = v1.LinuxContainerConfig(resources=v1.LinuxContainerResources(memory_limit_in_bytes=LIMIT))
    container_id = await shared.run(sandbox, linux=linux, labels={"stats": "limited"}, annotations={"a": "b"})

    async def is_measured() -> bool:
        try:
            await stats(shared.runtime, container_id)
        except Unknown:  # containerd may have no numbers of what has just begun
            return False
        return True

    await eventually(is_measured, "it is measured")
    return container_id


async def stats(runtime: Runtime, container_id: str) -> v1.ContainerStats:
    return (await runtime.container_stats(v1.ContainerStatsRequest(container_id=container_id))).stats


async def pod_stats(runtime: Runtime, sandbox_id: str) -> v1.PodSandboxStats:
    return (await runtime.pod_sandbox_stats(v1.PodSandboxStatsRequest(pod_sandbox_id=sandbox_id))).stats


async def test_stats_name_the_container(runtime: Runtime, kit: Kit, limited: str) -> None:
    """Stats: attributes are the container's own."""
    status, attributes = await kit.status(limited), (await stats(runtime, limited)).attributes
    assert attributes.id == limited
    for field in ("metadata", "labels", "annotations"):
        assert getattr(attributes, field) == getattr(status, field), field


async def test_each_part_is_stamped(runtime: Runtime, limited: str) -> None:
    """Stats: timestamps > 0, and nanoseconds."""
    before = time.time_ns()
    seen = await stats(runtime, limited)
    for stamp in (seen.cpu.timestamp, seen.memory.timestamp):
        assert before - 10**10 <= stamp <= time.time_ns()


async def test_memory_is_counted(runtime: Runtime, limited: str) -> None:
    """Stats: working set = usage - inactive_file."""
    memory = (await stats(runtime, limited)).memory
    assert 0 < memory.working_set_bytes.value <= memory.usage_bytes.value <= LIMIT


async def test_available_memory_is_what_the_limit_leaves(runtime: Runtime, limited: str) -> None:
    """Stats: available = limit - working set."""
    memory = (await stats(runtime, limited)).memory
    assert memory.available_bytes.value == LIMIT - memory.working_set_bytes.value


async def test_available_memory_is_zero_without_a_limit(runtime: Runtime, running: str) -> None:
    """Stats: available is 0 when unlimited."""
    assert (await stats(runtime, running)).memory.available_bytes.value == 0


async def test_processor_time_adds_up(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Stats: usage_core_nano_seconds is a counter."""
    busy = await kit.run(sandbox, *shell("while :; do :; done"))
    first = (await stats(runtime, busy)).cpu.usage_core_nano_seconds.value

    async def look() -> bool:
        return (await stats(runtime, busy)).cpu.usage_core_nano_seconds.value > first

    await eventually(look, "the counter has moved")


async def test_the_rate_of_processor_time_needs_two_looks(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Stats: usage_nano_cores needs two samples."""
    busy = await kit.run(sandbox, *shell("while :; do :; done"))
    await stats(runtime, busy)

    async def look() -> int:
        return (await stats(runtime, busy)).cpu.usage_nano_cores.value

    rate = await eventually(look, "there is a rate")
    assert 0 < rate < 64 * 10**9


async def test_the_writable_layer_is_told(runtime: Runtime, limited: str) -> None:
    """Stats: timestamps > 0; the writable layer has a file system and a size."""
    layer = (await stats(runtime, limited)).writable_layer
    assert layer.timestamp > 0
    assert layer.fs_id.mountpoint


async def test_stats_do_not_wait_for_an_engine_to_measure(runtime: Runtime, limited: str) -> None:
    """Stats: read cgroup files rather than the engine's stats call: that one takes a second at the least."""
    taken = []
    for _ in range(3):
        begun = time.monotonic()
        await stats(runtime, limited)
        taken.append(time.monotonic() - begun)
    assert min(taken) < 0.9


@pytest.mark.parametrize("state", ["created", "exited"])
async def test_only_running_containers_are_listed(runtime: Runtime, kit: Kit, sandbox: str, state: str) -> None:
    """Stats: of what runs; one item that vanishes is skipped."""
    container_id = await kit.create(sandbox, "true")
    if state == "exited":
        await kit.start(container_id)
        await kit.exited(container_id)
    wanted = v1.ContainerStatsFilter(id=container_id)
    assert not (await runtime.list_container_stats(v1.ListContainerStatsRequest(filter=wanted))).stats


@pytest.mark.parametrize("by", ["id", "prefix", "sandbox", "label"])
async def test_container_stats_are_filtered(runtime: Runtime, sandbox: str, limited: str, by: str) -> None:
    """Ids and lists: filters: a unique id prefix, labels ANDed and exact."""
    label = {"stats": "limited"}
    wanted = {
        "id": v1.ContainerStatsFilter(id=limited),
        "prefix": v1.ContainerStatsFilter(id=limited[:13]),
        "sandbox": v1.ContainerStatsFilter(pod_sandbox_id=sandbox, label_selector=label),
        "label": v1.ContainerStatsFilter(label_selector=label),
    }[by]
    listed = (await runtime.list_container_stats(v1.ListContainerStatsRequest(filter=wanted))).stats
    assert [each.attributes.id for each in listed] == [limited]


async def test_no_match_is_an_empty_list(runtime: Runtime) -> None:
    """Ids and lists: no match is an empty list."""
    nothing = v1.ContainerStatsFilter(id="0" * 64)
    assert not (await runtime.list_container_stats(v1.ListContainerStatsRequest(filter=nothing))).stats
    none = v1.PodSandboxStatsFilter(id="0" * 64)
    assert not (await runtime.list_pod_sandbox_stats(v1.ListPodSandboxStatsRequest(filter=none))).stats


async def test_stats_of_an_unknown_container_are_not_found(runtime: Runtime) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await stats(runtime, "0" * 64)


async def test_stats_of_an_unknown_sandbox_are_not_found(runtime: Runtime) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await pod_stats(runtime, "0" * 64)


async def test_a_sandboxs_stats_have_its_containers(runtime: Runtime, sandbox: str, limited: str) -> None:
    """Stats: of the sandbox and what runs in it."""
    seen = await pod_stats(runtime, sandbox)
    assert seen.attributes.id == sandbox
    assert limited in {each.attributes.id for each in seen.linux.containers}


async def test_a_sandbox_uses_at_least_what_its_containers_use(runtime: Runtime, sandbox: str, limited: str) -> None:
    """Stats: the sandbox's numbers cover its containers'."""
    seen = (await pod_stats(runtime, sandbox)).linux
    assert seen.memory.timestamp > 0
    assert seen.memory.working_set_bytes.value >= max(each.memory.working_set_bytes.value for each in seen.containers)
    assert seen.process.process_count.value >= len(seen.containers)


async def test_a_sandboxs_traffic_is_counted(runtime: Runtime, kit: Kit) -> None:
    """Stats: timestamps > 0; what goes over the network is counted."""
    server, client = await kit.sandbox(), await kit.sandbox()
    await kit.run(server, *httpd("x", "80"))
    address = (await kit.sandbox_status(server)).network.ip
    asking = await kit.run(client)

    async def fetched() -> bool:
        return (await kit.exec(asking, "wget", "-q", "-O", "-", f"http://{address}/")).exit_code == 0

    await eventually(fetched, "the page is there")
    network = (await pod_stats(runtime, client)).linux.network
    assert network.timestamp > 0
    assert network.default_interface.name
    assert network.default_interface.rx_bytes.value > 0
    assert network.default_interface.tx_bytes.value > 0


async def test_sandbox_stats_are_filtered_by_label(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """Ids and lists: filters: labels ANDed and exact."""
    own = v1.PodSandboxStatsFilter(label_selector={RUN_LABEL: kit.label})
    listed = (await runtime.list_pod_sandbox_stats(v1.ListPodSandboxStatsRequest(filter=own))).stats
    assert sandbox in {each.attributes.id for each in listed}
    other = v1.PodSandboxStatsFilter(label_selector={RUN_LABEL: "another"})
    assert not (await runtime.list_pod_sandbox_stats(v1.ListPodSandboxStatsRequest(filter=other))).stats


async def test_streamed_stats_are_the_listed_ones(runtime: Runtime, kit: Kit, limited: str) -> None:
    """gRPC: Stream* RPCs page large lists and end with EOF."""
    wanted = v1.ContainerStatsFilter(label_selector={RUN_LABEL: kit.label})
    pages = [page async for page in runtime.stream_container_stats(v1.StreamContainerStatsRequest(filter=wanted))]
    listed = (await runtime.list_container_stats(v1.ListContainerStatsRequest(filter=wanted))).stats
    streamed = [each.attributes.id for page in pages for each in page.container_stats]
    assert streamed == [each.attributes.id for each in listed]


async def test_streamed_sandbox_stats_are_the_listed_ones(runtime: Runtime, kit: Kit, sandbox: str) -> None:
    """gRPC: Stream* RPCs page large lists and end with EOF."""
    wanted = v1.PodSandboxStatsFilter(label_selector={RUN_LABEL: kit.label})
    pages = [page async for page in runtime.stream_pod_sandbox_stats(v1.StreamPodSandboxStatsRequest(filter=wanted))]
    assert sandbox in [each.attributes.id for page in pages for each in page.pod_sandbox_stats]
