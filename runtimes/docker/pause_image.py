"""The image of the pause container in the engine's store: loaded when it is missed, never looked for beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from cri.errors import Internal
from runtimes.docker.engine import Engine
from runtimes.shared import pause


class PauseImage:
    """Loads the image once, however many sandboxes wait for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loading = asyncio.Lock()
        self._loads = 0

    @property
    def loads(self) -> int:
        """How often it was loaded; give it to ``load`` to say which copy was missing."""
        return self._loads

    async def load(self, seen: int) -> None:
        """Put the image into the engine, unless somebody did since ``loads`` was ``seen``."""
        async with self._loading:
            if self._loads != seen:
                return
            facts = await self._engine.facts()
            archive = pause.docker_archive(facts.platform.architecture)
            for line in await self._engine.call(_load, self._engine, archive):
                if "error" in line:
                    raise Internal(f"the engine would not load the pause image: {line['error']}")
            self._loads += 1


def _load(engine: Engine, archive: bytes) -> list[dict[str, str]]:
    answer: Iterable[dict[str, str]] = engine.client.load_image(archive, quiet=True)  # type: ignore[no-untyped-call]
    return list(answer)
