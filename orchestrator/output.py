"""A task's output: the log files of its attempts, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from cri.logs import Record, follow, read
from orchestrator.pods import log_directory, log_name
from orchestrator.task import Task

Until = Callable[[str, Callable[[Task | None], bool]], Awaitable[Task | None]]
"""Waits until a task's record (None: forgotten) is as asked, and answers it."""


async def records(
    task: Task, state_dir: Path, until: Until | None, *, tail: int | None, since_ns: int
) -> AsyncGenerator[Record]:
    """The records of the newest attempt that has a log; with ``until``, also those to come, of later attempts too."""
    folder = log_directory(state_dir, task.uid)
    attempt = await asyncio.to_thread(_newest, folder, task.attempt)
    if until is None:
        for record in await asyncio.to_thread(read, folder / log_name(attempt), tail=tail, since_ns=since_ns):
            yield record
        return
    following: int | None = attempt
    while following is not None:
        ended = asyncio.Event()
        watcher = asyncio.create_task(_next_attempt(task, following, until, ended))
        try:
            lines = follow(folder / log_name(following), ended, tail=tail, since_ns=since_ns)
            async with aclosing(lines):
                async for record in lines:
                    yield record
            following = await watcher
        finally:
            watcher.cancel()
        tail = None


async def _next_attempt(task: Task, attempt: int, until: Until, ended: asyncio.Event) -> int | None:
    """Wait until ``attempt`` prints no more; the attempt that follows it, None: there will be none."""

    def over(now: Task | None) -> bool:
        return now is None or now.uid != task.uid or now.swept or now.attempt > attempt

    now = await until(task.id, over)
    ended.set()
    if now is None or now.uid != task.uid or now.attempt <= attempt:
        return None
    return attempt + 1


def _newest(folder: Path, attempt: int) -> int:
    """The newest attempt up to ``attempt`` that has a log; ``attempt`` when none has."""
    return next((n for n in range(attempt, -1, -1) if (folder / log_name(n)).exists()), attempt)
