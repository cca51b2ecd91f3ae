"""The program of an image that the fake knows nothing about."""

from __future__ import annotations

import asyncio
import signal

from runtimes.fake.process import Process


async def service(process: Process) -> int:
    """Run until told to stop, then exit with 0, as a well-behaved server does on SIGTERM and SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        process.on_signal(number, lambda _: stopped.set())
    await stopped.wait()
    return 0
