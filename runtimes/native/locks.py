"""Locks on objects, for work that takes longer than a transaction. They hold among threads, tasks and processes, and
are free the moment their process is gone, however it went.

Each is one byte of one file, locked by an open file description of its own: nothing is left behind to sweep away.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from runtimes.shared.inflight import uninterrupted

WAITING = 64
"""How many objects may be waited for at once, that other processes work on."""

_FLOCK = struct.Struct("hhqqi4x")
"""struct flock: type, whence, start, length, pid."""


class Locks:
    """All locks of one state directory. ``path`` is the file; it is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Tasks of this process queue here, so that threads only ever wait for other processes.
        self._queues: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(WAITING, thread_name_prefix="native-locks")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """Safe to call twice. What is held stays so until its block ends."""
        self._threads.shutdown(wait=False)

    @asynccontextmanager
    async def hold(self, kind: str, name: str) -> AsyncIterator[None]:
        """Be the only one who works on the object, once whoever else does is through. Not reentrant."""
        queue = self._queues.setdefault((kind, name), asyncio.Lock())
        async with queue:
            file = self._open()
            try:
                if not _take(file, kind, name, wait=False):
                    loop = asyncio.get_running_loop()
                    # A thread cannot be cancelled: the file is closed once it has what it waits for.
                    await uninterrupted(
                        loop.run_in_executor(self._threads, partial(_take, file, kind, name, wait=True))
                    )
                yield
            finally:
                os.close(file)

    @contextmanager
    def try_hold(self, kind: str, name: str) -> Iterator[bool]:
        """The same without waiting: whether it is ours."""
        file = self._open()
        try:
            yield _take(file, kind, name, wait=False)
        finally:
            os.close(file)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(file: int, kind: str, name: str, *, wait: bool) -> bool:
    digest = hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=8).digest()
    byte = int.from_bytes(digest, "big") >> 2  # an offset is a signed 64-bit number
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True
