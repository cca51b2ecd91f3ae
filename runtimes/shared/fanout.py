"""One source, many listeners: each has a bounded queue of its own, and a slow one disturbs nobody else."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from cri.errors import ResourceExhausted

BACKLOG = 10_000
"""Items that may wait for one listener. One that falls further behind is told so, and has to look for itself."""

T = TypeVar("T")


class Subscription(AsyncIterator[T]):
    """Everything published from the moment of subscribing on; ends when the source is closed."""

    def __init__(self, backlog: int) -> None:
        self._backlog = backlog
        self._waiting: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._overrun = False

    async def __anext__(self) -> T:
        """Raises ResourceExhausted once more than the backlog waited, after what had its place in the queue."""
        while not self._waiting:
            if self._overrun:
                raise ResourceExhausted(f"more than {self._backlog} events waited to be read; listen again and relist")
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Hear no more. Safe to call twice."""
        self._end()
        self._waiting.clear()

    def _put(self, item: T) -> None:
        if self._closed or self._overrun:
            return
        if len(self._waiting) >= self._backlog:
            self._overrun = True
        else:
            self._waiting.append(item)
        self._arrived.set()

    def _end(self) -> None:
        self._closed = True
        self._arrived.set()


class Fanout(Generic[T]):
    """Hands every item to every subscription. One that nobody holds any more is forgotten."""

    def __init__(self, backlog: int = BACKLOG) -> None:
        self._backlog = backlog
        self.closed = False
        self._subscriptions: weakref.WeakSet[Subscription[T]] = weakref.WeakSet()

    @property
    def heard(self) -> bool:
        """Whether anybody listens; what is published is not free to make."""
        return any(not each._closed for each in self._subscriptions)

    def subscribe(self) -> Subscription[T]:
        """Listen from now on."""
        subscription: Subscription[T] = Subscription(self._backlog)
        if self.closed:
            subscription._end()
        self._subscriptions.add(subscription)
        return subscription

    def publish(self, item: T) -> None:
        """Never waits."""
        for subscription in list(self._subscriptions):
            subscription._put(item)

    def close(self) -> None:
        """End every subscription, after what waits in it."""
        self.closed = True
        for subscription in list(self._subscriptions):
            subscription._end()
