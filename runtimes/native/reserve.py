"""A little space that is kept for the day when the disk is full: what is removed is written down first, so without it a
full disk could never be emptied."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SIZE = 1 << 20
"""Bytes: some hundred transactions."""

_LITTLE = SIZE // 4
"""Free bytes below which it is spent."""

_PLENTY = 16 * SIZE
"""Free bytes with which it is made anew."""


class Reserve:
    """A file at ``path``. Where none can be made, there is none to spend."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ease(self) -> None:
        """Before a transaction: give the space to it where the disk has none, or take it back. Costs microseconds."""
        with contextlib.suppress(OSError):
            found = os.statvfs(self._path.parent)
            free = found.f_bfree * found.f_frsize
            if free < _LITTLE:
                self._path.unlink()
            elif free > _PLENTY and not self._path.exists():
                self._make()

    def _make(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, SIZE)
        finally:
            os.close(file)
