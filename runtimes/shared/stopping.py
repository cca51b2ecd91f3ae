"""Stopping a container: its stop signal once, then SIGKILL after a time that later calls may shorten.

An engine's own stop sends the signal again with every call, and the second call waits anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cri.errors import FailedPrecondition, NotFound
from runtimes.shared.inflight import InFlight

DEFAULT_SIGNAL = "SIGTERM"


class Ending(Protocol):
    """What an engine can do to end a container."""

    def ended(self, container_id: str) -> AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Listen from entering on; calling what it gives returns once the container has ended. Raises NotFound."""

    async def resume(self, container_id: str) -> object:
        """Resume it if it is paused; one that is not, or is gone, is fine."""

    async def signal(self, container_id: str, signal: str) -> None:
        """Raises NotFound, and FailedPrecondition for one that does not run."""

    async def kill(self, container_id: str) -> None:
        """SIGKILL, and return once it has ended. One that is not running, or gone, is fine."""


class Stopping:
    """Stops under way, by container. Each is one wait, whoever else joins it."""

    def __init__(self, engine: Ending) -> None:
        self._engine = engine
        self._under_way: InFlight[None] = InFlight()
        self._waits: dict[str, asyncio.Timeout] = {}
        self._signalled: set[str] = set()

    async def stop(self, container_id: str, signal: str, timeout: float) -> None:
        """Return once the container has ended: by ``signal`` (empty: SIGTERM), or by SIGKILL after ``timeout``
        seconds. Cancelled, it sends nothing more."""
        wait = self._waits.get(container_id)
        if wait is not None:
            _shorten(wait, timeout)
        await self._under_way.run(
            container_id, b"", lambda: self._stop(container_id, signal or DEFAULT_SIGNAL, timeout)
        )

    def forget(self, container_id: str) -> None:
        """The container is gone, or has ended."""
        self._signalled.discard(container_id)

    async def _stop(self, container_id: str, signal: str, timeout: float) -> None:
        if timeout <= 0 or not await self._ask_to_end(container_id, signal, timeout):
            await self._engine.kill(container_id)
        self.forget(container_id)

    async def _ask_to_end(self, container_id: str, signal: str, timeout: float) -> bool:
        """Send the signal and wait. False when it did not help in time; one that is gone has ended."""
        try:
            async with asyncio.timeout(timeout) as wait:
                self._waits[container_id] = wait
                try:
                    async with self._engine.ended(container_id) as end:
                        await self._signal(container_id, signal)
                        await end()
                finally:
                    del self._waits[container_id]
        except TimeoutError:
            return False
        except NotFound:
            pass
        return True

    async def _signal(self, container_id: str, signal: str) -> None:
        await self._engine.resume(container_id)
        if container_id in self._signalled:
            return
        # Noted before: a call that is given up halfway has been sent, as far as anybody can tell.
        self._signalled.add(container_id)
        try:
            await self._engine.signal(container_id, signal)
        except FailedPrecondition:
            return  # it ended meanwhile, which the wait tells


def _shorten(wait: asyncio.Timeout, timeout: float) -> None:
    wanted = asyncio.get_running_loop().time() + max(0.0, timeout)
    due = wait.when()
    if due is not None and wanted < due and not wait.expired():
        wait.reschedule(wanted)
