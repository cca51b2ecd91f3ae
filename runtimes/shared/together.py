"""Questions that many ask at once. Pure asyncio, no engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """Whoever asks while the same question is under way shares the next answer: it is never older than the asking."""

    def __init__(self) -> None:
        self._coming: dict[str, asyncio.Task[T]] = {}
        self._under_way: dict[str, asyncio.Task[T]] = {}
        self._waiting: dict[asyncio.Task[T], int] = {}

    async def ask(self, key: str, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to ``question``, of which there is one for each ``key``. It is cancelled when the last who waits
        for it is."""
        asking = self._coming.get(key)
        if asking is None:
            asking = self._coming[key] = asyncio.create_task(self._ask(key, question))
        self._waiting[asking] = self._waiting.get(asking, 0) + 1
        try:
            return await asyncio.shield(asking)
        finally:
            self._waiting[asking] -= 1
            if not self._waiting[asking]:
                del self._waiting[asking]
                if self._coming.get(key) is asking:
                    del self._coming[key]
                asking.cancel()

    async def _ask(self, key: str, question: Callable[[], Awaitable[T]]) -> T:
        if (before := self._under_way.get(key)) is not None:
            await asyncio.wait({before})
        self._under_way[key] = asking = self._coming.pop(key)
        try:
            return await question()
        finally:
            if self._under_way.get(key) is asking:
                del self._under_way[key]
