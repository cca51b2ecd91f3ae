"""Time as the fake sees it: the real one, or one that only a test moves.

Everything in this package that waits, waits on a ``Clock``; nothing calls ``asyncio.sleep`` with a duration.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from abc import ABC, abstractmethod
from typing import Any, TypeVar

_T = TypeVar("_T")

_SETTLE_TURNS = 50
"""Turns of the event loop that ``advance`` gives to whatever a woken sleeper sets off."""


class Clock(ABC):
    """Where times and waits come from."""

    @abstractmethod
    def now_ns(self) -> int:
        """Nanoseconds since the epoch, as CRI's timestamps want them."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Return ``seconds`` later on this clock."""

    async def within(self, waited: asyncio.Future[_T], seconds: float) -> bool:
        """Whether ``waited`` is done within ``seconds``; it is left running when it is not."""
        if waited.done():
            return True
        alarm = asyncio.ensure_future(self.sleep(seconds))
        either: set[asyncio.Future[Any]] = {waited, alarm}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
        return waited.done()


class RealClock(Clock):
    """The host's clock. Two readings are never equal, so that sorting by time is sorting by order."""

    def __init__(self) -> None:
        self._last_ns = 0

    def now_ns(self) -> int:
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return self._last_ns

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock(Clock):
    """A clock that stands still until ``advance``: hours of backoff pass in a test that takes milliseconds.

    ``start_ns`` is the first reading, in nanoseconds since the epoch.
    """

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._start_ns = start_ns
        self._elapsed = 0.0
        self._readings = 0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        self._readings += 1  # a nanosecond a reading keeps the order of what happened at "the same" time
        return self._start_ns + round(self._elapsed * 1e9) + self._readings

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), waker))
        await waker

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: sleepers wake in the order of their deadlines, each at its own time."""
        end = self._elapsed + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._elapsed, _, waker = heapq.heappop(self._sleepers)
            if not waker.done():
                waker.set_result(None)
                await self._settle()
        self._elapsed = end

    async def _settle(self) -> None:
        for _ in range(_SETTLE_TURNS):
            await asyncio.sleep(0)
