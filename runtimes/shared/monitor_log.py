"""The log files that conmon writes, in CRI's format: it outlives engine and server alike, and is told things through a
pipe beside its container's bundle."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from cri.errors import DeadlineExceeded, FailedPrecondition
from cri.logs.inotify import Watch
from cri.v1 import api_pb2 as v1
from runtimes.shared.log_place import log_path

PATIENCE = 5.0
"""Seconds that the monitor gets to open a log again."""

_REOPEN = b"2 0 0\n"
_RESIZE = b"1 %d %d\n"
"""The monitor's commands, as its control pipe takes them."""


def prepare(record: v1.CreateContainerRequest) -> None:
    """Make way for the log of a container that is about to start: its monitor makes no directories. Raises
    FailedPrecondition where it cannot be written."""
    if not log_path(record):
        return
    try:
        path = _place(record)
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        _refuse_escape(path, record)
    except OSError as error:
        raise FailedPrecondition(f"the log {log_path(record)} cannot be written: {error}") from error


async def reopen(container_id: str, record: v1.CreateContainerRequest, monitor: int, control: Path) -> None:
    """Have the monitor (a pid) write on to a fresh file, and return once that is there; nothing to do for a container
    that has no log, or whose log was not moved away. Raises FailedPrecondition, and makes no file, where that is not
    possible. ``control`` is the monitor's pipe."""
    if not log_path(record):
        return
    path = _place(record)
    try:
        _refuse_escape(path, record)
        if _holds(monitor, path):
            return
        if path.exists() and path.stat().st_size:
            # The monitor replaces what is there; it is somebody else's.
            raise FileExistsError(f"something else has been written to {path} already")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            # The monitor would end, and the container's output with it.
            raise PermissionError(f"there is no directory {path.parent} that can be written to")
        async with asyncio.timeout(PATIENCE):
            await _reopen(path, control)
    except TimeoutError as error:
        raise DeadlineExceeded(f"the monitor of container {container_id} did not open {path} again") from error
    except OSError as error:
        raise FailedPrecondition(f"the log of container {container_id} cannot be opened again: {error}") from error


def resize(control: Path, width: int, height: int) -> None:
    """Change a container's terminal. Raises OSError when the monitor is gone."""
    _tell(control, _RESIZE % (height, width))


async def _reopen(path: Path, control: Path) -> None:
    before = _identity(path)
    with Watch(path.parent) as watch:
        _tell(control, _REOPEN)
        while _identity(path) == before:
            await watch.changed()


def _tell(control: Path, command: bytes) -> None:
    # Without waiting for a reader: a monitor that is gone reads no more.
    pipe = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(pipe, command)
    finally:
        os.close(pipe)


def _place(record: v1.CreateContainerRequest) -> Path:
    return Path(record.sandbox_config.log_directory) / record.config.log_path


def _refuse_escape(path: Path, record: v1.CreateContainerRequest) -> None:
    """A symlink below the sandbox's log directory must not lead the monitor's writing out of it."""
    directory = Path(record.sandbox_config.log_directory)
    if path.is_symlink() or not path.parent.resolve().is_relative_to(directory.resolve()):
        raise PermissionError(f"{path} leads out of {directory}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _holds(pid: int, path: Path) -> bool:
    """Whether the monitor with this pid has the file at ``path`` open."""
    wanted = _identity(path)
    descriptors = Path("/proc", str(pid), "fd")
    if wanted is None or not descriptors.exists():
        return False
    return any(_identity(descriptors / name) == wanted for name in os.listdir(descriptors))
