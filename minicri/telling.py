"""Passing on what happens in an orchestrator of this process, and being able to say up to where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from orchestrator.messages import event_message

if TYPE_CHECKING:
    from orchestrator.control import Orchestrator
    from orchestrator.v1 import orchestrator_pb2 as pb


@asynccontextmanager
async def telling(orchestrator: Orchestrator, hear: Callable[[pb.Event], None]) -> AsyncGenerator[None]:
    """``hear`` is called with every event that happens inside the block; the end waits until it has heard the last.

    What ``hear`` raises ends the block.
    """
    told = await orchestrator.last_seq()
    moved = asyncio.Event()

    async def tell() -> None:
        nonlocal told
        async with aclosing(orchestrator.watch(told)) as events:
            async for event in events:
                hear(event_message(event))
                told = event.seq
                moved.set()

    async with asyncio.TaskGroup() as group:
        teller = group.create_task(tell())
        yield
        last = await orchestrator.last_seq()
        while told < last:
            moved.clear()
            await moved.wait()
        teller.cancel()
