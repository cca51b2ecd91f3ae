"""The image of the infra containers in the engine's store."""

from __future__ import annotations

import asyncio

from cri.errors import NotFound
from runtimes.podman.engine import Engine
from runtimes.shared import pause


class PauseImage:
    """Looked for before each sandbox: Podman would ask a registry for an image that it misses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loading = asyncio.Lock()

    async def require(self) -> None:
        """Put the image into the engine unless it is there, once, however many sandboxes wait for it."""
        if await self._is_there():
            return
        async with self._loading:
            if await self._is_there():
                return
            facts = await self._engine.facts()
            archive = pause.docker_archive(facts.platform.architecture)
            await self._engine.post("/images/load", data=archive, headers={"Content-Type": "application/x-tar"})

    async def _is_there(self) -> bool:
        try:
            await self._engine.get(f"/images/{pause.NAME}/exists")
        except NotFound:
            return False
        return True
