"""Just enough of inotify(7) to learn that something in a directory changed. The standard library has none."""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
_EVENTS = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE


class Watch:
    """Watches one directory. Enter it inside a running event loop; leaving frees the descriptor."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = asyncio.Event()
        self._file = -1

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1: " + os.strerror(ctypes.get_errno()))
        if libc.inotify_add_watch(self._file, os.fsencode(self._directory), _EVENTS) < 0:
            error = ctypes.get_errno()
            os.close(self._file)
            raise OSError(error, os.strerror(error), str(self._directory))
        asyncio.get_running_loop().add_reader(self._file, self._drain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    def _drain(self) -> None:
        try:
            while os.read(self._file, 65536):
                self._changed.set()
        except BlockingIOError:
            return

    async def changed_or(self, other: asyncio.Event) -> None:
        """Wait for a change in the directory since the last call, or for ``other``."""
        waits = [asyncio.ensure_future(self._changed.wait()), asyncio.ensure_future(other.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._changed.clear()
