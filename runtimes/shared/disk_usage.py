"""What is below a directory, and the file system that it is on."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

_BLOCK = 512
"""Bytes of a block as stat(2) counts, whatever the file system."""


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """Bytes and inodes; None where they are not known."""

    used_bytes: int | None = None
    inodes: int | None = None


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system of a directory. ``device`` is ``major:minor``; sizes are 0 where they are not known."""

    device: str = ""
    size: int = 0
    inodes: int = 0
    free_inodes: int = 0


def below(directory: str) -> DiskUsage:
    """What is in use below ``directory``, itself included; a file with several names counts once."""
    seen: set[int] = set()
    total, inodes = 0, 0
    waiting = [directory]
    while waiting:
        # Files come and go meanwhile; one that went uses nothing.
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if found.st_ino in seen:
                        continue
                    if found.st_nlink > 1:
                        seen.add(found.st_ino)
                    inodes += 1
                    total += found.st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    with contextlib.suppress(OSError):
        total += os.stat(directory).st_blocks * _BLOCK
        inodes += 1
    return DiskUsage(total, inodes)


def file_system(directory: str) -> FileSystem:
    """The file system that ``directory`` is on; all unknown where it cannot be seen from here."""
    try:
        found, device = os.statvfs(directory), os.stat(directory).st_dev
    except OSError:
        return FileSystem()
    return FileSystem(
        f"{os.major(device)}:{os.minor(device)}", found.f_blocks * found.f_frsize, found.f_files, found.f_ffree
    )
