"""Removing directory trees that somebody hostile may have built: links are not followed, and no depth is too deep."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runtimes.native import kernel

_LONG = 3000
"""Bytes of a path from which on a directory is moved up before it is emptied: the kernel takes 4095."""


def remove(directory: Path) -> None:
    """Remove ``directory`` and what is below it, or a file; one that is missing is well."""
    with contextlib.suppress(FileNotFoundError):
        parent = os.open(directory.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_at(parent, directory.name)
        finally:
            os.close(parent)


def remove_at(parent: int, name: str) -> None:
    """Remove whatever ``name`` is in the open directory ``parent``. Raises FileNotFoundError where it is nothing."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        _remove_directory(parent, name)


def _remove_directory(parent: int, top: str) -> None:
    waiting, moved = [top], 0
    while waiting:
        path = waiting[-1]
        below = _empty(parent, path)
        if below is None:
            waiting.pop()
        elif not below:
            waiting.pop()
            with contextlib.suppress(FileNotFoundError):
                _rmdir(parent, path)
        else:
            for name in below:
                deeper = f"{path}/{name}"
                if len(os.fsencode(deeper)) > _LONG:
                    moved += 1
                    deeper = _move_up(parent, path, name, f"{top}/.deep-{moved}")
                waiting.append(deeper)


def _empty(parent: int, path: str) -> list[str] | None:
    """Remove what is no directory from the directory at ``path``, and tell the directories; None where it is gone."""
    try:
        directory = kernel.open_beneath(parent, path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    below = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(entry.name, dir_fd=directory)
    finally:
        os.close(directory)
    return below


def _move_up(parent: int, path: str, name: str, target: str) -> str:
    directory = kernel.open_beneath(parent, path, os.O_PATH | os.O_DIRECTORY)
    try:
        os.rename(name, target, src_dir_fd=directory, dst_dir_fd=parent)
    finally:
        os.close(directory)
    return target


def _rmdir(parent: int, path: str) -> None:
    """By the directory above, so that a path as long as the kernel takes has not to be shorter by a name."""
    above, _, name = path.rpartition("/")
    if not above:
        os.rmdir(name, dir_fd=parent)
        return
    directory = kernel.open_beneath(parent, above, os.O_PATH | os.O_DIRECTORY)
    try:
        os.rmdir(name, dir_fd=directory)
    finally:
        os.close(directory)
