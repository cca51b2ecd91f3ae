"""Several log files, one after the other, as of one output: the attempts of a container, say, by number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from cri.logs.reader import follow
from cri.logs.record import Record


def newest(path: Callable[[int], Path], last: int) -> int:
    """The newest of the files up to number ``last`` that is there; ``last`` when none is."""
    return next((number for number in range(last, -1, -1) if path(number).exists()), last)


async def follow_on(
    path: Callable[[int], Path],
    first: int,
    after: Callable[[int], Awaitable[int | None]],
    *,
    tail: int | None = None,
    since_ns: int = 0,
) -> AsyncGenerator[Record]:
    """``follow`` the file of number ``first``, then those behind it. ``after`` waits until nothing more is written to
    the file of a number, and answers which follows it, None: no other. ``tail`` is about the first."""
    number: int | None = first
    while number is not None:
        ended = asyncio.Event()
        watcher = asyncio.create_task(_told(after(number), ended))
        try:
            async with aclosing(follow(path(number), ended, tail=tail, since_ns=since_ns)) as lines:
                async for record in lines:
                    yield record
            number = await watcher
        finally:
            watcher.cancel()
        tail = None


async def _told(following: Awaitable[int | None], ended: asyncio.Event) -> int | None:
    number = await following
    ended.set()
    return number
