"""A subscriber to a runtime's events, as the kubelet is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit

CREATED, STARTED = v1.CONTAINER_CREATED_EVENT, v1.CONTAINER_STARTED_EVENT
STOPPED, DELETED = v1.CONTAINER_STOPPED_EVENT, v1.CONTAINER_DELETED_EVENT

Kinds = list[v1.ContainerEventType]

_OPENING = 0.5
"""Seconds after which the stream is tried once more with something that it has to tell of."""


class Heard:
    """All that came over one stream so far."""

    def __init__(self) -> None:
        self.events: list[v1.ContainerEventResponse] = []
        self.ended = ""
        """How the stream ended, while somebody still listened."""

    def kinds(self, container_id: str) -> Kinds:
        return [event.container_event_type for event in self.events if event.container_id == container_id]

    async def told(self, container_id: str, kind: v1.ContainerEventType) -> bool:
        return kind in self.kinds(container_id)


@asynccontextmanager
async def listening(kit: Kit) -> AsyncIterator[Heard]:
    """Everything that happens in the block is heard."""
    heard = Heard()

    async def listen() -> None:
        async for event in kit.runtime.get_container_events(v1.GetEventsRequest()):
            heard.events.append(event)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            heard.ended = str(task.exception() or "by the server")

    task = asyncio.create_task(listen())
    task.add_done_callback(ended)
    try:
        await _opened(kit, heard)
        yield heard
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _opened(kit: Kit, heard: Heard) -> None:
    """Nothing but an event tells that a stream is open."""
    sandbox_id = ""
    while not await heard.told(sandbox_id, DELETED):
        sandbox_id = await kit.sandbox()
        await kit.remove_sandbox(sandbox_id)
        await asyncio.sleep(_OPENING)
    heard.events.clear()
