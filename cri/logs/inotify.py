"""Just enough of inotify(7) to learn that something in a directory changed. The standard library has none.

All watches of an event loop share one descriptor: a user may have few of those (128 by default), and many watches. An
engine that keeps a monitor with a descriptor for each container soon has them all; then we look again now and then.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
_EVENTS = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_OVERFLOW = 0x4000
_HEAD = struct.Struct("iIII")
"""Watch, mask, cookie, and the length of the name that follows."""

_LIMITS = (errno.EMFILE, errno.ENOSPC)
"""Of the descriptors (fs.inotify.max_user_instances, and the open files), and of fs.inotify.max_user_watches."""

POLL = 0.2
"""Seconds between two looks where the system allows no watch."""

_log = logging.getLogger(__name__)


class _Descriptor:
    """What the watches of one event loop share; made with the first and closed with the last of them."""

    _of_loop: ClassVar[dict[asyncio.AbstractEventLoop, _Descriptor]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._listeners: dict[int, set[asyncio.Event]] = {}
        self._file = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise _error("inotify")
        loop.add_reader(self._file, self._drain)

    @classmethod
    def of_running_loop(cls) -> _Descriptor:
        loop = asyncio.get_running_loop()
        if loop not in cls._of_loop:
            cls._of_loop[loop] = cls(loop)
        return cls._of_loop[loop]

    def add(self, directory: Path, changed: asyncio.Event) -> int:
        number: int = self._libc.inotify_add_watch(self._file, os.fsencode(directory), _EVENTS)
        if number < 0:
            error = _error(str(directory))
            self._close_unless_used()
            raise error
        self._listeners.setdefault(number, set()).add(changed)  # the same directory has the same number again
        return number

    def remove(self, number: int, changed: asyncio.Event) -> None:
        listeners = self._listeners[number]
        listeners.discard(changed)
        if not listeners:
            del self._listeners[number]
            self._libc.inotify_rm_watch(self._file, number)  # refused where the directory has gone, and the watch too
        self._close_unless_used()

    def _close_unless_used(self) -> None:
        if not self._listeners:
            del self._of_loop[self._loop]
            self._loop.remove_reader(self._file)
            os.close(self._file)

    def _drain(self) -> None:
        try:
            while data := os.read(self._file, 65536):
                self._tell(data)
        except BlockingIOError:
            return

    def _tell(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            heard = self._listeners.values() if mask & _OVERFLOW else [self._listeners.get(number, set())]
            for listeners in heard:
                for changed in listeners:
                    changed.set()


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


class Watch:
    """Watches one directory. Enter it inside a running event loop; leaving frees what it holds.

    Entering raises OSError where there is no such directory. Where the system allows no more watches, a change is
    assumed every ``POLL`` seconds.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = asyncio.Event()
        self._held: tuple[_Descriptor, int] | None = None

    def __enter__(self) -> Self:
        try:
            descriptor = _Descriptor.of_running_loop()
            self._held = descriptor, descriptor.add(self._directory, self._changed)
        except OSError as error:
            if error.errno not in _LIMITS:
                raise
            os.stat(self._directory)
            _log.warning("no inotify watch can be had (%s); looking every %g s instead", error, POLL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held is not None:
            descriptor, number = self._held
            descriptor.remove(number, self._changed)

    async def changed_or(self, other: asyncio.Event) -> None:
        """Wait for a change in the directory since the last call, or for ``other``."""
        waits = [asyncio.ensure_future(self._changed.wait()), asyncio.ensure_future(other.wait())]
        try:
            timeout = POLL if self._held is None else None
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._changed.clear()

    async def changed(self) -> None:
        """Wait for a change in the directory since the last call."""
        if self._held is None:
            await asyncio.sleep(POLL)
        else:
            await self._changed.wait()
        self._changed.clear()
