"""Killing and removing containers of ours, whatever state they are in. All of it may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from cri.errors import FailedPrecondition, NotFound
from runtimes.docker.engine import Engine
from runtimes.shared import labels


class Removal:
    """Used by sandboxes and containers alike."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def members(self, sandbox_id: str) -> list[dict[str, Any]]:
        """The containers of a sandbox as the engine lists them, in any state."""
        listed: list[dict[str, Any]] = await self._engine.call(
            self._engine.client.containers, all=True, filters={"label": [f"{labels.SANDBOX_ID}={sandbox_id}"]}
        )
        return listed

    async def kill(self, container_id: str) -> None:
        """SIGKILL, and return once it is dead. One that is not running, or gone, is fine; a paused one is resumed."""
        client = self._engine.client
        try:
            await self._engine.call(client.kill, container_id, "SIGKILL")
        except NotFound:
            return
        except FailedPrecondition:
            if not await self._resume(container_id):
                return
            await self.kill(container_id)

    async def kill_all(self, found: Iterable[Mapping[str, Any]]) -> None:
        """``kill`` all at once. The first failure is raised after every kill was tried."""
        await _all(self.kill(container["Id"]) for container in found)

    async def remove(self, container_id: str) -> None:
        """Kill and remove with anonymous volumes. One that is gone, or going, is fine."""
        try:
            await self._engine.call(self._engine.client.remove_container, container_id, v=True, force=True)
        except NotFound:
            return
        except FailedPrecondition:
            # "removal is already in progress": CRI wants it gone on return.
            await self._gone(container_id)

    async def remove_all(self, container_ids: Iterable[str]) -> None:
        """``remove`` all at once. The first failure is raised after every removal was tried."""
        await _all(self.remove(container_id) for container_id in container_ids)

    async def _resume(self, container_id: str) -> bool:
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


async def _all(work: Iterable[Any]) -> None:
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
