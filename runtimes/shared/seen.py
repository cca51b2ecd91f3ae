"""Looks at images that serve for more containers than one."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from runtimes.shared.inflight import InFlight

LASTS = 1.0
"""Seconds that a look serves. Another tool may give an image's name to another."""

Found = dict[str, Any] | None


class SeenImages:
    """``find`` looks at the image that a text names."""

    def __init__(self, find: Callable[[str], Coroutine[Any, Any, Found]]) -> None:
        self._find = find
        self._looking: InFlight[Found] = InFlight()
        self._seen: dict[str, tuple[float, dict[str, Any]]] = {}
        self._changes = 0

    async def seen(self, text: str) -> Found:
        """The inspected image, or what was found a moment ago."""
        now, changes = time.monotonic(), self._changes
        self._seen = {key: value for key, value in self._seen.items() if now - value[0] < LASTS}
        if text in self._seen:
            return self._seen[text][1]
        found = await self._looking.run(f"{text} {changes}", b"", lambda: self._find(text))
        if found is not None and changes == self._changes:
            self._seen[text] = now, found
        return found

    def look_again(self) -> None:
        """Something was done to the images."""
        self._changes += 1
        self._seen.clear()
