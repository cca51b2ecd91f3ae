"""Work in a thread of its own: it lasts, may be given up, and may leave its thread unfit for other work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from runtimes.shared.inflight import uninterrupted

T = TypeVar("T")


async def apart(work: Callable[[threading.Event], T]) -> T:
    """The result of ``work``. When the caller is cancelled, the event is set, and ``work`` has ended before the
    cancellation goes on, so that its caller may take away what it made."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()
    stop = threading.Event()

    def run() -> None:
        try:
            value = work(stop)
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            loop.call_soon_threadsafe(result.set_exception, error)
        else:
            loop.call_soon_threadsafe(result.set_result, value)

    thread = threading.Thread(target=run, name="native-image")
    thread.start()
    try:
        return await asyncio.shield(result)
    except asyncio.CancelledError:
        stop.set()
        await uninterrupted(asyncio.wait({result}))
        if not result.cancelled():
            result.exception()  # looked at
        raise
    finally:
        thread.join()
