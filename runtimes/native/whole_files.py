"""Files that are there whole or not at all, and of which nothing stays when their writer is killed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


@contextmanager
def written(place: Path) -> Iterator[IO[bytes]]:
    """A file for root alone that takes the place of what is at ``place`` when the block ends; not when it raises.

    Until then it has no name, so that it is gone with whoever dies over it. Where the file system knows no such files
    it is called ``place`` with ``.tmp`` behind it. Raises OSError.
    """
    unfinished = place.with_name(f"{place.name}.tmp")
    with suppress(FileNotFoundError):
        unfinished.unlink()
    try:
        with nameless(place.parent) or open(unfinished, "xb", opener=_private) as file:
            yield file
            file.flush()
            if not unfinished.exists():
                name(file, unfinished)
        unfinished.rename(place)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def nameless(folder: Path) -> IO[bytes] | None:
    """A new file in ``folder`` for root alone; None where the file system knows none without a name."""
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb")
    except OSError as error:
        if error.errno not in _NO_NAMELESS or not folder.is_dir():
            raise
        return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def name(file: IO[bytes], place: Path) -> None:
    """Give a nameless file its name. Raises FileExistsError."""
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Only with a directory Python follows the link, which the nameless file has in /proc alone.
        os.link(f"/proc/self/fd/{file.fileno()}", place.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)
