"""Events on a real engine: all of them, once, in order. Tests that each engine's package takes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cri import logs
from cri.errors import FailedPrecondition
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.shared.lifecycle import Phase
from tests.runtimes.behaviour.hand import EngineHand
from tests.runtimes.pods import Pod, until

CREATED, STARTED = v1.CONTAINER_CREATED_EVENT, v1.CONTAINER_STARTED_EVENT
STOPPED, DELETED = v1.CONTAINER_STOPPED_EVENT, v1.CONTAINER_DELETED_EVENT


class Heard:
    """What a subscriber has heard so far."""

    def __init__(self) -> None:
        self.events: list[v1.ContainerEventResponse] = []

    def kinds(self, container_id: str) -> list[v1.ContainerEventType]:
        return [event.container_event_type for event in self.events if event.container_id == container_id]

    def last(self, container_id: str) -> v1.ContainerEventResponse:
        return [event for event in self.events if event.container_id == container_id][-1]

    async def exactly(self, container_id: str, *kinds: v1.ContainerEventType) -> None:
        await until(lambda: len(self.kinds(container_id)) >= len(kinds), f"{len(kinds)} events of {container_id}")
        assert self.kinds(container_id) == list(kinds)


async def running(runtime: Any, container_id: str) -> str:
    """Return once the engine's word of the start has come through; else it may be the first thing that is heard."""
    lives = runtime._events._lives
    await until(lambda: container_id in lives and lives[container_id].phase is Phase.RUNNING, "the start is known")
    return container_id


@asynccontextmanager
async def listening(runtime: Runtime) -> AsyncIterator[Heard]:
    heard = Heard()
    stream = runtime.get_container_events(v1.GetEventsRequest())

    async def listen() -> None:
        async for event in stream:
            heard.events.append(event)

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_life_is_four_events_of_container_and_sandbox(runtime: Runtime, tmp_path: Path) -> None:
    async with listening(runtime) as heard:
        pod = await Pod.make(runtime, tmp_path)
        container_id = await pod.run("echo hello; exit 3")
        await pod.exited(container_id)
        await pod.aclose()
        await heard.exactly(container_id, CREATED, STARTED, STOPPED, DELETED)
        await heard.exactly(pod.sandbox_id, CREATED, STARTED, STOPPED, DELETED)
        times = [event.created_at for event in heard.events if event.container_id == container_id]
        assert times == sorted(times)


async def test_an_end_is_told_with_its_status_when_the_log_is_complete(pod: Pod, runtime: Runtime) -> None:
    async with listening(runtime) as heard:
        container_id = await pod.run("seq 0 4999; exit 3")
        await until(lambda: STOPPED in heard.kinds(container_id), "STOPPED")
        printed = b"".join(record.printed for record in logs.read(pod.path()))
        assert printed == b"".join(b"%d\n" % number for number in range(5000))
        event = heard.last(container_id)
        (status,) = event.containers_statuses
        assert (status.exit_code, status.reason, status.state) == (3, "Error", v1.CONTAINER_EXITED)
        assert event.pod_sandbox_status.state == v1.SANDBOX_READY


async def test_each_event_has_the_pods_status_and_those_of_all_its_containers(pod: Pod, runtime: Runtime) -> None:
    before = await running(runtime, await pod.run("sleep 600", name="before"))
    async with listening(runtime) as heard:
        after = await pod.run("sleep 600", name="after")
        await heard.exactly(after, CREATED, STARTED)
        event = heard.last(after)
        assert event.pod_sandbox_status.id == pod.sandbox_id
        assert event.pod_sandbox_status.network.ip
        assert [status.id for status in event.containers_statuses] == [before, after]
        assert event.containers_statuses[0] == await pod.status(before)


async def test_the_news_of_a_creation_says_what_a_status_says(pod: Pod, runtime: Runtime) -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {"stop_signal": v1.SIGNAL_SIGUSR1},
        {"linux": v1.LinuxContainerConfig(resources=v1.LinuxContainerResources(memory_limit_in_bytes=1 << 26))},
        {"annotations": {"a": "b"}, "labels": {"c": "d"}, "tty": True},
        {
            "linux": v1.LinuxContainerConfig(
                security_context=v1.LinuxContainerSecurityContext(
                    run_as_user=v1.Int64Value(value=7), supplemental_groups=[8, 9]
                )
            )
        },
    ]
    async with listening(runtime) as heard:
        for number, fields in enumerate(kinds):
            container_id = await pod.create("true", f"c-{number}", **fields)
            await heard.exactly(container_id, CREATED)
            (told,) = [each for each in heard.last(container_id).containers_statuses if each.id == container_id]
            assert told == await pod.status(container_id)


async def test_the_news_of_a_sandboxs_creation_says_what_was_asked_for(runtime: Runtime, tmp_path: Path) -> None:
    async with listening(runtime) as heard:
        pod = await Pod.make(runtime, tmp_path)
        await until(lambda: STARTED in heard.kinds(pod.sandbox_id), "STARTED")
        told = [event.pod_sandbox_status for event in heard.events if event.container_id == pod.sandbox_id]
        answer = await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=pod.sandbox_id))
        assert told[-1] == answer.status
        for status in told:
            status.ClearField("network")
            status.state = answer.status.state
        answer.status.ClearField("network")
        assert told == [answer.status] * 2
        await pod.aclose()


async def test_a_deleted_sandbox_is_told_with_its_last_known_status(runtime: Runtime, tmp_path: Path) -> None:
    pod = await Pod.make(runtime, tmp_path)
    await running(runtime, pod.sandbox_id)
    async with listening(runtime) as heard:
        await pod.aclose()
        await until(lambda: DELETED in heard.kinds(pod.sandbox_id), "DELETED")
        assert heard.kinds(pod.sandbox_id) == [STOPPED, DELETED]
        status = heard.last(pod.sandbox_id).pod_sandbox_status
        assert (status.id, status.state) == (pod.sandbox_id, v1.SANDBOX_NOTREADY)
        assert status.metadata.namespace == "tests"


async def test_a_container_that_goes_while_nobody_looks_is_told_once(
    pod: Pod, runtime: Runtime, hand: EngineHand
) -> None:
    container_id = await running(runtime, await pod.run("sleep 600"))
    async with listening(runtime) as heard:
        await asyncio.to_thread(hand.remove, container_id)
        await heard.exactly(container_id, STOPPED, DELETED)
        (status,) = heard.events[0].containers_statuses
        assert (status.state, status.exit_code, status.reason) == (v1.CONTAINER_EXITED, 137, "Error")


async def test_a_failed_start_is_an_end(pod: Pod, runtime: Runtime) -> None:
    async with listening(runtime) as heard:
        container_id = await pod.create("", command=["no-such-program"])
        with pytest.raises(FailedPrecondition):
            await pod.start(container_id)
        await heard.exactly(container_id, CREATED, STOPPED)
        assert heard.last(container_id).containers_statuses[0].reason == "StartError"
        await pod.remove(container_id)
        await heard.exactly(container_id, CREATED, STOPPED, DELETED)


async def test_a_container_that_was_never_started_is_only_deleted(pod: Pod, runtime: Runtime) -> None:
    async with listening(runtime) as heard:
        container_id = await pod.create("true")
        await pod.remove(container_id)
        await heard.exactly(container_id, CREATED, DELETED)


async def test_events_of_another_runtimes_doing_are_heard_too(pod: Pod, runtime: Runtime, hand: EngineHand) -> None:
    async with hand.opened() as other, listening(other) as heard:
        container_id = await pod.run("true")
        await heard.exactly(container_id, CREATED, STARTED, STOPPED)


async def test_nothing_is_told_of_what_was_there_before(pod: Pod, hand: EngineHand) -> None:
    there = await pod.run("sleep 600", name="there")
    async with hand.opened() as other, listening(other) as heard:
        container_id = await pod.run("true", name="new")
        await heard.exactly(container_id, CREATED, STARTED, STOPPED)
        assert heard.kinds(there) == []


async def test_all_subscribers_hear_all_and_closing_the_runtime_ends_them(hand: EngineHand, pod: Pod) -> None:
    async with hand.opened() as runtime:
        await running(runtime, pod.sandbox_id)
        streams = [runtime.get_container_events(v1.GetEventsRequest()) for _ in range(3)]
        container_id = await pod.create("true")
        for stream in streams:
            assert (await anext(stream)).container_id == container_id
    for stream in streams:
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
