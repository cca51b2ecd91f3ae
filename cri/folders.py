"""Folders that a program keeps its state in: of one user, and of one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cri.errors import FailedPrecondition

LOCK_PATIENCE = 3.0
"""Seconds that a dead owner's lock may take to be free."""


class StateLocked(FailedPrecondition):
    """Another process owns the state directory; the message names its pid."""

    reason = "STATE_LOCKED"


def private(path: Path) -> Path:
    """``path``, made for this user alone where it is missing: logs and environments are nobody else's business."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def private_file(path: Path) -> None:
    """Make an empty file for this user alone where ``path`` is missing. Raises OSError.

    It is not opened: a database's locks are the process's, and closing any descriptor of its file drops
    them, also those of another connection. Others would think that nobody has it open, and take its log away.
    """
    with contextlib.suppress(FileExistsError):
        os.mknod(path, 0o600)


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Own the state directory, or raise StateLocked with the owner's pid, after LOCK_PATIENCE. The kernel frees a dead
    owner's lock, but where a child of that one was just about to become another program only a moment later."""
    path = directory / "lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            _lock(file, time.monotonic() + LOCK_PATIENCE)
        except BlockingIOError as error:
            owner = os.pread(file, 32, 0).decode().strip() or "unknown"
            raise StateLocked(
                f"state directory {str(directory)!r} is in use by process {owner}; stop it or choose another directory",
                details={"pid": owner, "directory": str(directory)},
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def _lock(file: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # a lock that is waited for cannot be given up at a time
