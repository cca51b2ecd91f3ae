"""When the engine was up, and heard, by what its event stream shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from cri.errors import Unavailable
from runtimes.shared.event_watch import EngineEvent, EventWatch


class Silent:
    """A stream on which nothing comes."""

    async def chunks(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


class Engine:
    """Answers those who listen when it is told to; is away for the first ``failures`` of them."""

    def __init__(self, failures: int = 0) -> None:
        self.answer = asyncio.Event()
        self._failures = failures

    @asynccontextmanager
    async def listen(self, since_ns: int) -> AsyncIterator[Any]:
        if self._failures:
            self._failures -= 1
            raise Unavailable("it is away")
        await self.answer.wait()
        yield Silent()

    def read(self, found: Mapping[str, Any]) -> EngineEvent | None:
        return None


async def heard_before_the_answer(engine: Engine) -> bool:
    """Whether what ended while the first answer was awaited is taken to have been seen."""
    watch = EventWatch(engine)
    watch.start()
    ended_ns = time.time_ns()
    engine.answer.set()
    await watch.connected()
    await watch.aclose()
    return watch.listened_at(ended_ns)


async def test_an_engine_that_was_there_at_the_start_was_so_while_its_answer_was_awaited() -> None:
    assert await heard_before_the_answer(Engine())


async def test_one_that_came_later_was_not() -> None:
    assert not await heard_before_the_answer(Engine(failures=1))
