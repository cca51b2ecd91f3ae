"""GetContainerEvents: what happened, in order, with the statuses that belong to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, eventually, shell

CREATED, STARTED = v1.CONTAINER_CREATED_EVENT, v1.CONTAINER_STARTED_EVENT
STOPPED, DELETED = v1.CONTAINER_STOPPED_EVENT, v1.CONTAINER_DELETED_EVENT


class Heard:
    """The events of a subscription so far."""

    def __init__(self) -> None:
        self.events: list[v1.ContainerEventResponse] = []

    def of(self, identity: str) -> list[v1.ContainerEventResponse]:
        return [event for event in self.events if event.container_id == identity]

    async def wait(self, identity: str, *kinds: v1.ContainerEventType) -> list[v1.ContainerEventResponse]:
        """The events of ``identity`` once there are as many as ``kinds``, which they must be, in that order."""

        async def look() -> bool:
            return len(self.of(identity)) >= len(kinds)

        await eventually(look, f"{[v1.ContainerEventType.Name(kind) for kind in kinds]} of {identity}")
        events = self.of(identity)
        assert [event.container_event_type for event in events] == list(kinds)
        return events


@asynccontextmanager
async def subscription(kit: Kit, sandbox: str) -> AsyncIterator[Heard]:
    """A subscription that hears what happens from here on. Leaving the block cancels it."""
    heard = Heard()

    async def listen() -> None:
        async for event in kit.runtime.get_container_events(v1.GetEventsRequest()):
            heard.events.append(event)

    async def hears() -> bool:
        await kit.remove(await kit.create(sandbox))  # nothing says when a subscription has begun, but its first event
        return bool(heard.events)

    listening = asyncio.create_task(listen())
    try:
        await eventually(hears, "the subscription hears something")
        yield heard
        assert not listening.done(), "the stream ended by itself"
    finally:
        listening.cancel()
        await asyncio.wait({listening})


async def test_the_life_of_a_container_is_four_events(kit: Kit, sandbox: str) -> None:
    """Events: CREATED, STARTED, STOPPED, DELETED for containers."""
    async with subscription(kit, sandbox) as heard:
        container_id = await kit.run(sandbox)
        await kit.stop(container_id)
        await kit.remove(container_id)
        await heard.wait(container_id, CREATED, STARTED, STOPPED, DELETED)


async def test_the_life_of_a_sandbox_is_four_events(kit: Kit, sandbox: str) -> None:
    """Events: and for sandboxes (container_id == sandbox id)."""
    async with subscription(kit, sandbox) as heard:
        sandbox_id = await kit.sandbox()
        await kit.stop_sandbox(sandbox_id)
        await kit.remove_sandbox(sandbox_id)
        await heard.wait(sandbox_id, CREATED, STARTED, STOPPED, DELETED)


async def test_an_exit_by_itself_is_an_event(kit: Kit, sandbox: str) -> None:
    """Events: STOPPED, whoever caused it."""
    async with subscription(kit, sandbox) as heard:
        container_id = await kit.run(sandbox, *shell("exit 4"))
        stopped = (await heard.wait(container_id, CREATED, STARTED, STOPPED))[-1]
        (status,) = [each for each in stopped.containers_statuses if each.id == container_id]
        assert (status.state, status.exit_code, status.reason) == (v1.CONTAINER_EXITED, 4, "Error")


async def test_each_event_has_the_pods_status(kit: Kit, sandbox: str) -> None:
    """Events: each with the pod status."""
    async with subscription(kit, sandbox) as heard:
        container_id = await kit.run(sandbox)
        status = await kit.sandbox_status(sandbox)
        for event in await heard.wait(container_id, CREATED, STARTED):
            assert event.pod_sandbox_status.id == sandbox
            assert event.pod_sandbox_status.metadata == status.metadata
            assert event.pod_sandbox_status.network == status.network


async def test_each_event_has_the_status_of_every_container_of_the_pod(kit: Kit) -> None:
    """Events: and all container statuses."""
    sandbox_id = await kit.sandbox()
    first = await kit.run(sandbox_id)
    async with subscription(kit, sandbox_id) as heard:
        second = await kit.run(sandbox_id)
        started = (await heard.wait(second, CREATED, STARTED))[-1]
        assert {status.id for status in started.containers_statuses} == {first, second}


async def test_events_are_stamped_in_nanoseconds(kit: Kit, sandbox: str) -> None:
    """Ids and lists: timestamps are nanoseconds."""
    async with subscription(kit, sandbox) as heard:
        before = time.time_ns()
        container_id = await kit.run(sandbox, "true")
        events = await heard.wait(container_id, CREATED, STARTED, STOPPED)
        times = [event.created_at for event in events]
        assert times == sorted(times)
        # An engine's clock may be coarser than ours.
        assert before - 1_000_000_000 <= times[0]
        assert times[-1] <= time.time_ns() + 1_000_000_000


async def test_every_subscriber_hears_everything(kit: Kit, sandbox: str) -> None:
    """Events: a stream is not a queue that its readers share."""
    async with subscription(kit, sandbox) as one, subscription(kit, sandbox) as other:
        container_id = await kit.run(sandbox)
        for heard in (one, other):
            await heard.wait(container_id, CREATED, STARTED)


async def test_a_cancelled_stream_disturbs_nobody(kit: Kit, sandbox: str) -> None:
    """Events: the stream can be cancelled."""
    async with subscription(kit, sandbox) as kept:
        async with subscription(kit, sandbox):
            pass
        container_id = await kit.run(sandbox)
        await kept.wait(container_id, CREATED, STARTED)


async def test_a_reader_that_leaves_early_leaves_nothing(kit: Kit, sandbox: str) -> None:
    """Events: the stream can be cancelled, by closing it too."""
    before = asyncio.all_tasks()
    stream = kit.runtime.get_container_events(v1.GetEventsRequest())
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    if hasattr(stream, "aclose"):
        await stream.aclose()

    async def look() -> bool:
        return asyncio.all_tasks() <= before | {task for task in (asyncio.current_task(),) if task}

    await eventually(look, "its tasks are gone")


async def test_removing_a_sandbox_tells_of_its_containers_too(kit: Kit, sandbox: str) -> None:
    """Events: STOPPED and DELETED for containers, whoever caused it."""
    async with subscription(kit, sandbox) as heard:
        sandbox_id = await kit.sandbox()
        container_id = await kit.run(sandbox_id)
        await kit.remove_sandbox(sandbox_id)
        await heard.wait(container_id, CREATED, STARTED, STOPPED, DELETED)
        await heard.wait(sandbox_id, CREATED, STARTED, STOPPED, DELETED)
