"""Work that must not be done twice at once, and work that must not be left half done. Pure asyncio, no engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cri.errors import Aborted

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    request: bytes
    task: asyncio.Task[T]
    waiting: int = 0


class InFlight(Generic[T]):
    """Creations under way, by name. The same request again joins the one in flight; CRI wants exactly that of a
    client which lost its connection and tries again."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._flights

    async def run(self, name: str, request: bytes, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of ``work``, begun here or by an earlier caller with the same ``name`` and ``request``.

        The work is cancelled when the last caller that waits for it is. Raises Aborted when another request for the
        same name is under way.
        """
        while (flight := self._flights.get(name)) is not None and flight.task.cancelling():
            await asyncio.wait({flight.task})  # nobody wants that one any more, and it takes back what it made
        if flight is None:
            flight = self._flights[name] = _Flight(request, asyncio.ensure_future(work()))
            flight.task.add_done_callback(lambda _: self._flights.pop(name, None))
        elif flight.request != request:
            raise Aborted(f"{name} is being created from another config right now; try again")
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
                # The work undoes what it made; its caller must not be told before that is over.
                await asyncio.wait({flight.task})


async def uninterrupted(work: Awaitable[T]) -> T:
    """``work`` to its end even when the caller is cancelled meanwhile; the cancellation is raised afterwards.

    For the short steps between making a thing and noting who removes it, and for the removing itself.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task})
        raise
