"""Files in a container's root, which somebody else filled: no symbolic link and no ``..`` in there leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtimes.native.kernel import open_in_root

_DIRECTORY = os.O_PATH | os.O_DIRECTORY


@contextmanager
def root(path: Path) -> Iterator[int]:
    """A descriptor of the root, for the functions below."""
    descriptor = os.open(path, _DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(root: int, path: str, limit: int) -> bytes:
    """The first ``limit`` bytes of a plain file; nothing where there is none. Raises OSError."""
    try:
        # A pipe in the file's place would have us wait for a writer.
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):  # a link to itself; a socket
            return b""
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def is_link(root: int, name: str) -> bool:
    """Whether the root itself has a symbolic link of this name."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def make_directory(root: int, path: str, *, mode: int = 0o755, owner: tuple[int, int] | None = None) -> Path:
    """Make the directory and those above it, as far as they are missing. Where it is on the host, which is true for as
    long as nobody else changes the root. Raises OSError: FileExistsError where something else is in the way."""
    here = os.dup(root)
    try:
        walked = ""
        for part in [part for part in path.split("/") if part not in ("", ".")]:
            walked = f"{walked}/{part}"
            below = _below(root, here, walked, mode, owner)
            os.close(here)
            here = below
        return Path(os.readlink(f"/proc/self/fd/{here}"))
    finally:
        os.close(here)


def _below(root: int, above: int, path: str, mode: int, owner: tuple[int, int] | None) -> int:
    """The directory ``path``, whose last part is made in ``above`` unless it is there."""
    try:
        return open_in_root(root, path, _DIRECTORY)
    except FileNotFoundError:
        name = path.rpartition("/")[2]
        os.mkdir(name, mode, dir_fd=above)
        if owner:
            os.chown(name, *owner, dir_fd=above, follow_symlinks=False)
        return open_in_root(root, path, _DIRECTORY)
    except NotADirectoryError as error:
        raise FileExistsError(errno.EEXIST, "not a directory", path) from error
