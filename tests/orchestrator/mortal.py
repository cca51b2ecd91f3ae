"""A store and a runtime that stop answering at a chosen call, before or after it took effect: a process that dies.

After the chosen moment nothing comes back from any call, so everything that the dead one awaited stays undone, like
after ``kill -9``; what was done before stays done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

from cri.v1 import api_pb2 as v1
from orchestrator.pods import TASK
from orchestrator.prober import Prober
from orchestrator.steps import Health, Observed
from orchestrator.store import MemoryStore, Outcome
from orchestrator.task import Item, Task
from tests.orchestrator.engine import Engine

_T = TypeVar("_T")


class Fate:
    """Counts the moments at which a process may die; ``dies_at`` chooses one, None lives. ``moments`` of this life
    have gone by."""

    def __init__(self) -> None:
        self.dies_at: int | None = None
        self.moments = 0
        self.dead = asyncio.Event()

    def live(self, moments: int | None = None) -> None:
        """A new life, of so many moments."""
        self.dies_at = moments
        self.moments = 0
        self.dead = asyncio.Event()

    async def moment(self) -> None:
        self.moments += 1
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at <= 0:
                self.dead.set()
        if self.dead.is_set():
            await asyncio.Event().wait()

    async def around(self, call: Awaitable[_T]) -> _T:
        try:
            await self.moment()
        except BaseException:
            if asyncio.iscoroutine(call):
                call.close()
            raise
        result = await call
        await self.moment()
        return result


class MortalStore(MemoryStore):
    def __init__(self, fate: Fate) -> None:
        super().__init__("ours")
        self.fate = fate

    async def claim(self, worker: str, now: float, limit: int) -> list[Item]:
        return await self.fate.around(super().claim(worker, now, limit))

    async def get(self, task_id: str) -> Task | None:
        return await self.fate.around(super().get(task_id))

    async def commit(self, outcome: Outcome) -> Sequence[int]:
        return await self.fate.around(super().commit(outcome))


class MortalEngine(Engine):
    """An engine outlives the process that calls it; only the answers are lost."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate
        self.sick: set[str] = set()

    async def start_container(self, request: v1.StartContainerRequest) -> v1.StartContainerResponse:
        status = self.containers.get(request.container_id)
        if status is not None:
            named = [self.containers[each].metadata.name for each in self.running(status.labels[TASK])]
            assert status.metadata.name not in named, "two containers of one task and name run at once"
            assert not any(name.startswith("init") for name in named), "started while an init container runs"
        return await super().start_container(request)

    async def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        await asyncio.Event().wait()
        yield v1.ContainerEventResponse()


class MadeUp(Prober):
    """Finds what the engine's ``sick`` says, without asking."""

    def __init__(self, engine: MortalEngine) -> None:
        async def look(task_id: str, cause: str) -> None:
            raise AssertionError("nobody is asked")

        super().__init__(engine, look)
        self._engine = engine

    def health(self, seen: Observed) -> Observed:
        ill = Health(ready=False, failed="ill")
        return replace(
            seen,
            containers=tuple(replace(c, health=ill) if c.id in self._engine.sick else c for c in seen.containers),
        )


def _mortal(name: str) -> Callable[..., Awaitable[Any]]:
    alive = getattr(MortalEngine, name)

    @wraps(alive)
    async def call(self: MortalEngine, request: object) -> object:
        return await self.fate.around(alive(self, request))

    return call


CALLS: Sequence[str] = (
    "run_pod_sandbox",
    "stop_pod_sandbox",
    "remove_pod_sandbox",
    "list_pod_sandbox",
    "create_container",
    "start_container",
    "stop_container",
    "remove_container",
    "list_containers",
    "container_status",
    "exec_sync",
    "update_container_resources",
    "image_status",
    "pull_image",
)
for _name in CALLS:
    setattr(MortalEngine, _name, _mortal(_name))
