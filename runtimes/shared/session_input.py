"""What the client of an exec or attach session sends: input and terminal sizes, carried to an engine while it lasts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from cri.errors import CRIError
from cri.streaming import InboundStream, SizeQueue
from cri.streaming.transport import cancel

_log = logging.getLogger(__name__)


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``work`` while the block runs, which is what decides when the session is over."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        await cancel(*tasks)


async def carry_input(stdin: InboundStream, write: Callable[[bytes], Awaitable[None]], end: Callable[[], None]) -> None:
    """Copy ``stdin``; ``end`` says that it has ended. A reader that is gone is no error: the command ended, or does."""
    try:
        async for chunk in stdin:
            await write(chunk)
        end()
    except (CRIError, ConnectionError) as error:
        _log.debug("input was not taken to its end: %s", error)


async def carry_sizes(sizes: SizeQueue, resize: Callable[[int, int], Awaitable[None]]) -> None:
    """Call ``resize(width, height)`` for each of ``sizes``. A size that is refused is of a process that has ended."""
    async for size in sizes:
        try:
            await resize(size.width, size.height)
        except CRIError as error:
            _log.debug("the terminal was not resized: %s", error)


async def first_of(copying: Awaitable[None], over: asyncio.Event) -> None:
    """Return when the output ends or ``over`` is set, whichever comes first. Raises what copying raises."""
    copied = asyncio.ensure_future(copying)
    waited = asyncio.create_task(over.wait())
    try:
        await asyncio.wait({copied, waited}, return_when=asyncio.FIRST_COMPLETED)
        if copied.done():
            copied.result()
    finally:
        await cancel(copied, waited)
