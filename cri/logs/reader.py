"""Reading a log file from the start, the end or a time, and following it through rotations.

Following waits for the kernel's word (inotify) that the file or its directory changed; it does not poll.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from cri.logs.inotify import Watch
from cri.logs.record import Record, parse_record

_BATCH = 256
"""Records read at once."""


def _records(file: BinaryIO) -> Iterator[Record]:
    """The whole records from the file's position on; the position stays before an unfinished last line."""
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(start)
            return
        try:
            yield parse_record(line)
        except ValueError:
            continue  # somebody else wrote into the file; their line is not ours to fail over


def read(path: Path, *, tail: int | None = None, since_ns: int = 0) -> list[Record]:
    """The records of the file: the last ``tail`` of them, from ``since_ns`` (nanoseconds since the epoch) on.

    No file is an empty list: a container that has printed nothing has none.
    """
    try:
        with path.open("rb") as file:
            return list(_select(file, tail, since_ns))
    except FileNotFoundError:
        return []


def _select(file: BinaryIO, tail: int | None, since_ns: int) -> Iterator[Record]:
    later = (record for record in _records(file) if record.timestamp_ns >= since_ns)
    return later if tail is None else iter(deque(later, maxlen=tail))


async def _rest(file: BinaryIO, tail: int | None, since_ns: int) -> AsyncGenerator[Record]:
    """What ``_select`` selects, a batch at a time: a log may be larger than memory, and reading it takes a while."""
    selected = await asyncio.to_thread(_select, file, tail, since_ns)
    while batch := await asyncio.to_thread(lambda: list(islice(selected, _BATCH))):
        for record in batch:
            yield record


async def records(path: Path, *, tail: int | None = None, since_ns: int = 0) -> AsyncGenerator[Record]:
    """``read`` for a file of any size: at no time more than a part of it, or ``tail`` records, is held."""
    file = await asyncio.to_thread(_open, path)
    if file is not None:
        with file:
            async with aclosing(_rest(file, tail, since_ns)) as rest:
                async for record in rest:
                    yield record


async def follow(
    path: Path, ended: asyncio.Event, *, tail: int | None = None, since_ns: int = 0
) -> AsyncGenerator[Record]:
    """Like ``read``, then whatever is added, until ``ended`` is set and the rest is read.

    A file that does not exist yet is waited for. After a rotation (the path names another file) the old file is
    read to its end first, then the new one from its start: no record is lost, none comes twice.
    """
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    file: BinaryIO | None = None
    with Watch(path.parent) as watch:
        try:
            first = True
            while True:
                over = ended.is_set()  # asked before reading: what came until then is read below
                if file is None:
                    file = _open(path)
                if file is not None:
                    async with aclosing(_rest(file, tail if first else None, since_ns)) as rest:
                        async for record in rest:
                            yield record
                    first = False
                    if _rotated(file, path):
                        async with aclosing(_rest(file, None, since_ns)) as rest:
                            async for record in rest:
                                yield record
                        file.close()
                        file = None
                        continue
                if over:
                    return
                await watch.changed_or(ended)
        finally:
            if file is not None:
                file.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _rotated(file: BinaryIO, path: Path) -> bool:
    """Whether ``path`` names another file by now. While it names none, the old one may still be written to."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(file.fileno())
    return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)
