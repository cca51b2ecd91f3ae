"""The engine's own event stream, kept up: whoever needs to know that the engine is back, or what it did, asks here."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from cri.errors import CRIError
from runtimes.shared.engine_stream import EngineStream, lines

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between attempts to reach an engine that is away: nothing tells that it is back but asking."""

OVERLAP_NS = 1_000_000_000
"""How much of what was heard already is asked for again, in nanoseconds: the engine's times are not in strict order."""

REMEMBERED = 256
"""Connections whose times are remembered."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something that happened to a container of ours, in the engine's words. ``attributes`` has all its labels."""

    container_id: str
    action: str
    time_ns: int
    attributes: Mapping[str, str]


class Events(Protocol):
    """An engine's events."""

    def listen(self, since_ns: int) -> AbstractAsyncContextManager[EngineStream]:
        """A line of JSON for each event from ``since_ns`` (nanoseconds since the epoch) on; 0: from now on."""

    def read(self, found: Mapping[str, Any]) -> EngineEvent | None:
        """One event; None for one that is none of ours."""


class EventWatch:
    """Listens from ``start`` to ``aclose``, over one connection. Set the callbacks before; they must not wait."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.on_connected: Callable[[], None] = lambda: None
        """Called each time the engine begins to tell what happens from now on."""
        self.on_event: Callable[[EngineEvent], None] = lambda event: None
        self._connected = asyncio.Event()
        self._began_ns = 0
        self._heard_ns = 0
        self._spans: deque[list[int]] = deque(maxlen=REMEMBERED)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen to an engine that has just answered. One that is away all the same is waited for."""
        self._began_ns = time.time_ns()
        self._task = asyncio.create_task(self._listen(), name="engine-events")

    async def aclose(self) -> None:
        """Hear no more. Safe to call twice, and without ``start``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def connected(self) -> None:
        """Return once the engine is there."""
        await self._connected.wait()

    @property
    def was_interrupted(self) -> bool:
        """Whether the engine was away since ``start``."""
        return len(self._spans) > 1

    def listened_at(self, time_ns: int) -> bool:
        """Whether the engine was up, and heard, at a time of its clock (nanoseconds since the epoch). What ended while
        it was not has an end that nobody saw."""
        return any(begin <= time_ns and (not end or time_ns <= end) for begin, end in self._spans)

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._hear()
                reason = "the engine ended its events"
            except CRIError as error:
                reason = error.message
            self._began_ns = 0
            if self._connected.is_set():
                _log.warning("the events of the engine are interrupted and are taken up again: %s", reason)
                self._connected.clear()
                self._spans[-1][1] = time.time_ns()
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _hear(self) -> None:
        since_ns = self._heard_ns - OVERLAP_NS if self._heard_ns else 0
        async with self._events.listen(since_ns) as answer:
            now = time.time_ns()
            self._heard_ns = self._heard_ns or now
            self._spans.append([self._began_ns or now, 0])
            self._connected.set()
            self.on_connected()
            async for line in lines(answer.chunks()):
                event = self._events.read(json.loads(line))
                if event is not None:
                    self._heard_ns = event.time_ns
                    self.on_event(event)
