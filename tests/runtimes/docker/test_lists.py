"""What of a filter is left to the engine, so that it lists less."""

from __future__ import annotations

import asyncio

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.docker.containers import engine_filter
from runtimes.docker.runtime import DockerRuntime
from tests.runtimes.pods import Pod

RUNNING = v1.ContainerStateValue(state=v1.CONTAINER_RUNNING)
WHOLE = "ab" * 32


def test_running_containers_alone_are_asked_for() -> None:
    assert engine_filter(v1.ContainerFilter(state=RUNNING))["status"] == ["running", "paused", "restarting"]


def test_the_members_of_one_sandbox_alone_are_asked_for() -> None:
    asked = engine_filter(v1.ContainerFilter(pod_sandbox_id=WHOLE, state=RUNNING))
    assert asked["label"] == ["minicri.io/kind=container", f"minicri.io/sandbox={WHOLE}"]
    assert "status" in asked


@pytest.mark.parametrize("part", [{"id": "ab"}, {"pod_sandbox_id": "ab"}])
def test_a_part_of_an_id_is_compared_with_containers_in_every_state(part: dict[str, str]) -> None:
    assert "status" not in engine_filter(v1.ContainerFilter(state=RUNNING, **part))  # type: ignore[arg-type]  # not the labels


@pytest.mark.parametrize("state", [v1.CONTAINER_CREATED, v1.CONTAINER_EXITED, v1.CONTAINER_UNKNOWN])
def test_a_state_that_the_engine_knows_by_other_words_is_not_left_to_it(state: v1.ContainerState) -> None:
    assert "status" not in engine_filter(v1.ContainerFilter(state=v1.ContainerStateValue(state=state)))


async def test_containers_that_end_while_all_stats_are_read_are_left_out(runtime: DockerRuntime, pod: Pod) -> None:
    """Ids and lists: one item that vanishes while listing is skipped, not an error."""
    lasting = await pod.run("sleep 600", name="lasting")
    request = v1.ListContainerStatsRequest(filter=v1.ContainerStatsFilter(pod_sandbox_id=pod.sandbox_id))

    async def come_and_go() -> None:
        for number in range(12):
            await pod.run("true", name=f"short-{number}")

    coming = asyncio.create_task(come_and_go())
    while not coming.done():
        found = await runtime.list_container_stats(request)
        assert lasting in {each.attributes.id for each in found.stats}
    coming.result()
