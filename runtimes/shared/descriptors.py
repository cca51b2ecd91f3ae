"""Waiting for file descriptors in the event loop, without a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def readable(file: int) -> None:
    """Until the descriptor can be read from, which of a pidfd means that the process has ended. One waiter for each."""
    loop = asyncio.get_running_loop()
    await _called(lambda tell: loop.add_reader(file, tell), lambda: loop.remove_reader(file))


async def writable(file: int) -> None:
    """Until the descriptor can be written to. One waiter for each."""
    loop = asyncio.get_running_loop()
    await _called(lambda tell: loop.add_writer(file, tell), lambda: loop.remove_writer(file))


async def _called(add: Callable[[Callable[[], None]], object], remove: Callable[[], object]) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell() -> None:
        if not ready.done():  # it may have been given up meanwhile
            ready.set_result(None)

    add(tell)
    try:
        await ready
    finally:
        remove()
