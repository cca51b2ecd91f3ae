"""Killing and removing containers of ours, whatever state they are in. All of it may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from cri.errors import FailedPrecondition, NotFound
from runtimes.docker.engine import Engine
from runtimes.docker.logs import Logs
from runtimes.shared import labels, processes
from runtimes.shared.engine_stream import EngineStream


class Removal:
    """Used by sandboxes and containers alike."""

    def __init__(self, engine: Engine, logs: Logs) -> None:
        self._engine = engine
        self._logs = logs

    async def members(self, sandbox_id: str) -> list[dict[str, Any]]:
        """The containers of a sandbox as the engine lists them, in any state."""
        listed: list[dict[str, Any]] = await self._engine.call(
            self._engine.client.containers, all=True, filters={"label": [f"{labels.SANDBOX_ID}={sandbox_id}"]}
        )
        return listed

    @asynccontextmanager
    async def ended(self, container_id: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """See ``stopping.Ending``; a container that does not run has ended."""
        path, params = f"/containers/{container_id}/wait", {"condition": "not-running"}
        async with self._engine.stream("POST", path, params=params) as answer:
            yield lambda: _first_word(answer)

    async def signal(self, container_id: str, signal: str) -> None:
        """Raises NotFound, and FailedPrecondition for one that does not run."""
        await self._engine.call(self._engine.client.kill, container_id, signal)

    async def kill(self, container_id: str) -> None:
        """SIGKILL, and return once it is dead and its log complete. One that is not running, or gone, is fine; a paused
        one is resumed."""
        await self._kill(container_id)
        await self._logs.drained(container_id)

    async def _kill(self, container_id: str) -> None:
        try:
            await self._engine.call(self._engine.client.kill, container_id, "SIGKILL")
        except NotFound:
            return
        except FailedPrecondition:
            if not await self.resume(container_id):
                return
            await self._kill(container_id)

    async def kill_all(self, found: Iterable[Mapping[str, Any]]) -> None:
        """``kill`` all at once. The first failure is raised after every kill was tried."""
        await _all(self.kill(container["Id"]) for container in found)

    async def remove(self, container_id: str) -> None:
        """Kill and remove with anonymous volumes. One that is gone, or going, is fine."""
        if self._logs.is_draining(container_id):
            await self.kill(container_id)
        await self._remove(container_id)
        await self._logs.forget(container_id)

    async def _remove(self, container_id: str) -> None:
        try:
            await self._engine.call(self._engine.client.remove_container, container_id, v=True, force=True)
        except NotFound:
            return
        except FailedPrecondition:
            # "removal is already in progress": CRI wants it gone on return.
            await self._gone(container_id)

    async def end_forgotten(self, *container_ids: str) -> None:
        """SIGKILL what runs of containers that never did as far as the engine knows: killed in the middle of a start,
        20.10 neither tells of the process afterwards nor ends it, not even with a removal."""
        for container_id in container_ids:
            await asyncio.to_thread(processes.kill_of_container, container_id)

    async def remove_all(self, container_ids: Iterable[str]) -> None:
        """``remove`` all at once. The first failure is raised after every removal was tried."""
        await _all(self.remove(container_id) for container_id in container_ids)

    async def resume(self, container_id: str) -> bool:
        """Resume a paused container; False for one that is not paused, which the engine refuses to resume."""
        try:
            found = await self._engine.call(self._engine.client.inspect_container, container_id)
            if not found["State"]["Paused"]:
                return False
            await self._engine.call(self._engine.client.unpause, container_id)
        except (NotFound, FailedPrecondition):
            return False
        return True

    async def _gone(self, container_id: str) -> None:
        try:
            await self._engine.call(self._engine.client.wait, container_id, condition="removed")
        except NotFound:
            return


async def _first_word(answer: EngineStream) -> None:
    async for _ in answer.chunks():
        return


async def _all(work: Iterable[Any]) -> None:
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
