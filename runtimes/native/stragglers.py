"""Programs of others that outlived the process which started them: they go on with what they were told, and may finish
it after somebody has taken it back. They are found by the id of what they work on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from cri.errors import DeadlineExceeded
from runtimes.shared.descriptors import readable

PATIENCE = 5.0
"""Seconds in which a program ends by itself, before it is killed; and in which it is gone then, unless it sleeps in the
kernel."""

Find = Callable[[], set[int]]
"""The processes there are now."""


def told(object_id: str, word: str) -> set[int]:
    """The processes that have both among their arguments."""
    return _having("cmdline", object_id.encode(), word.encode())


def with_variable(name: str, value: str) -> set[int]:
    """The processes that were started with this environment variable."""
    return _having("environ", f"{name}={value}".encode())


async def see_out(find: Find) -> None:
    """Return once none is left. One that does not end by itself is killed. Raises DeadlineExceeded for one that stays
    even then."""
    if not await _gone(find):
        await end(find)


async def end(find: Find) -> None:
    """The same for programs that need not finish."""
    while pids := find():
        for pid in pids:
            _kill(pid, find)
        if not await _gone(find):
            raise DeadlineExceeded(f"the program with the pid {min(pids)} was killed, and does not end")


def _kill(pid: int, find: Find) -> None:
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            # Looked at while held: the number may have been given to another process.
            if pid in find():
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


async def _gone(find: Find) -> bool:
    """Whether they have ended in time, and those that they started meanwhile."""
    try:
        async with asyncio.timeout(PATIENCE):
            while pids := find():
                async with asyncio.TaskGroup() as group:
                    waiting = [group.create_task(_ended(pid)) for pid in pids]
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for each in waiting:
                        each.cancel()
    except TimeoutError:
        return False
    return True


async def _ended(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            await readable(handle)
        finally:
            os.close(handle)


def _having(file: str, *words: bytes) -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdecimal() and _has(Path("/proc", name, file), words)}


def _has(file: Path, words: tuple[bytes, ...]) -> bool:
    """Not of a process that has ended: there is nothing in its files any more."""
    try:
        content = file.read_bytes()
    except OSError:
        return False
    return words[0] in content and set(words) <= set(content.split(b"\0"))
