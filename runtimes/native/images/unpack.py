"""Applying the entries of a layer to a directory, which is the root for every path and link in them.

The directory is either new and empty, or the union of the layers below with a new one on top; the kernel then turns
what is removed into whiteouts.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from runtimes.native import kernel
from runtimes.native.images import trees
from runtimes.native.images.entries import Entry
from runtimes.native.images.failures import BadImage

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_THE_LAYERS_FAULT = (
    errno.E2BIG,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.EMLINK,
    errno.ERANGE,
    errno.EXDEV,
)
_LONGEST = 3500
"""Bytes of a directory's path, so that whatever is unpacked can be named, and removed again."""

MOST_ENTRIES = 2_000_000
"""Entries of a layer; real ones have thousands."""

_PLAIN = 0o755
"""Mode of a directory that no layer speaks of."""


def apply(entries: Iterable[Entry], root: int) -> None:
    """Make what ``entries`` say below the open directory ``root``. Raises BadImage, which names the entry, and OSError
    for what is the disk's fault."""
    layer = _Layer(root)
    try:
        for number, entry in enumerate(entries):
            if number == MOST_ENTRIES:
                raise BadImage(f"the layer has more than {MOST_ENTRIES} entries")
            try:
                layer.add(entry)
            except OSError as error:
                if error.errno in _THE_LAYERS_FAULT:
                    raise BadImage(f"the layer's entry {entry.path!r} cannot be made: {error.strerror}") from error
                raise
        layer.set_times()
    finally:
        layer.close()


_log = logging.getLogger(__name__)


class _Layer:
    def __init__(self, root: int) -> None:
        self._root = root
        self._prefix = _place(root)
        self._kept: set[str] = set()
        """What came from this layer, and the directories above it: whiteouts are about the layers below only."""
        self._times: dict[str, int] = {}
        self._open: tuple[str, int, str] | None = None
        """The directory of the entry before, which mostly is that of the next: its path, descriptor and real place."""

    def close(self) -> None:
        if self._open:
            os.close(self._open[1])
            self._open = None

    def add(self, entry: Entry) -> None:
        above, _, name = entry.path.rpartition("/")
        match entry.kind:
            case "opaque":
                self.close()
                self._clear(entry.path)
            case "whiteout":
                self.close()
                self._hide(above, name)
            case "directory" if not entry.path:
                _adorn_directory(self._root, entry)
                self._times[""] = entry.mtime_ns
            case _:
                parent, place = self._parent(above)
                path = f"{place}/{name}" if place else name
                self._make(parent, name, path, entry)
                self._keep(path)

    def set_times(self) -> None:
        """Of directories, last, for what is made in them changes them."""
        for path, mtime_ns in self._times.items():
            directory = kernel.open_beneath(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.utime(directory, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(directory)

    def _make(self, parent: int, name: str, path: str, entry: Entry) -> None:
        self._times.pop(path, None)
        found = _look(parent, name)
        if found is not None and not (entry.kind == "directory" and stat.S_ISDIR(found.st_mode)):
            if entry.kind == "hardlink" and self._is_same(entry.target, found):
                return
            trees.remove_at(parent, name)
            if stat.S_ISDIR(found.st_mode):
                self._forget_below(path)
            found = None
        match entry.kind:
            case "file":
                _write(parent, name, entry)
            case "directory":
                if found is None:
                    os.mkdir(name, 0o700, dir_fd=parent)
                directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
                try:
                    _adorn_directory(directory, entry)
                finally:
                    os.close(directory)
                self._times[path] = entry.mtime_ns
            case "hardlink":
                self._link(parent, name, entry)
            case "symlink":
                os.symlink(entry.target, name, dir_fd=parent)
                _adorn(parent, name, entry, mode=False)
            case "fifo":
                os.mkfifo(name, 0o600, dir_fd=parent)
                _adorn(parent, name, entry)
            case _:
                _make_device(parent, name, entry)

    def _link(self, parent: int, name: str, entry: Entry) -> None:
        with self._directory_of(entry.target) as (directory, target):
            found = _look(directory, target)
            if found is None or stat.S_ISDIR(found.st_mode):
                raise BadImage(f"the layer's hard link {entry.path!r} is to {entry.target!r}, which is no file there")
            os.link(target, name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)

    def _is_same(self, target: str, found: os.stat_result) -> bool:
        with self._directory_of(target) as (directory, name):
            other = _look(directory, name)
        return other is not None and os.path.samestat(other, found)

    def _hide(self, above: str, name: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):  # hidden already
            with self._directory_of(f"{above}/{name}") as (parent, _):
                place = self._place(parent)
                if f"{place}/{name}".lstrip("/") not in self._kept:
                    trees.remove_at(parent, name)
                    return
            self._clear(f"{above}/{name}")

    def _clear(self, path: str) -> None:
        """Remove from a directory what the layers below have put there."""
        try:
            directory = kernel.open_in_root(self._root, path, _DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return
        with _closing(directory):
            waiting = [self._place(directory)]
        while waiting:
            place = waiting.pop()
            with _closing(kernel.open_beneath(self._root, place, os.O_RDONLY | os.O_DIRECTORY)) as directory:
                for name in os.listdir(directory):
                    below = f"{place}/{name}".lstrip("/")
                    if below not in self._kept:
                        trees.remove_at(directory, name)
                    elif stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                        waiting.append(below)

    def _keep(self, path: str) -> None:
        while path and path not in self._kept:
            self._kept.add(path)
            path = path.rpartition("/")[0]

    def _forget_below(self, path: str) -> None:
        for gone in [each for each in self._kept if each.startswith(path + "/")]:
            self._kept.discard(gone)
            self._times.pop(gone, None)

    def _parent(self, path: str) -> tuple[int, str]:
        """The open directory at ``path``, made where it is missing, and where it really is below the root."""
        if self._open and self._open[0] == path:
            return self._open[1:]
        self.close()
        try:
            directory = kernel.open_in_root(self._root, path, _DIRECTORY)
        except FileNotFoundError:
            self._make_directories(path)
            directory = kernel.open_in_root(self._root, path, _DIRECTORY)
        self._open = (path, directory, "")
        self._open = (path, directory, self._place(directory))
        return self._open[1:]

    def _make_directories(self, path: str) -> None:
        parts = path.split("/")
        for index, name in enumerate(parts):
            with _closing(kernel.open_in_root(self._root, "/".join(parts[:index]), _DIRECTORY)) as parent:
                if _look(parent, name) is None:
                    os.mkdir(name, _PLAIN, dir_fd=parent)
                    os.chmod(name, _PLAIN, dir_fd=parent)  # whatever the umask
                    self._keep(f"{self._place(parent)}/{name}".lstrip("/"))

    @contextmanager
    def _directory_of(self, path: str) -> Iterator[tuple[int, str]]:
        """The open directory that holds ``path``, and the name in it."""
        above, _, name = path.rpartition("/")
        with _closing(kernel.open_in_root(self._root, above, _DIRECTORY)) as directory:
            yield directory, name or "."

    def _place(self, directory: int) -> str:
        """Where an open directory is below the root, links followed."""
        place = _place(directory).removeprefix(self._prefix).strip("/")
        if len(os.fsencode(place)) > _LONGEST:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return place


@contextmanager
def _closing(file: int) -> Iterator[int]:
    try:
        yield file
    finally:
        os.close(file)


def _adorn_directory(directory: int, entry: Entry) -> None:
    os.fchown(directory, entry.uid, entry.gid)
    os.fchmod(directory, entry.mode)
    _set_xattrs(directory, entry)


def _place(directory: int) -> str:
    return os.readlink(f"/proc/self/fd/{directory}")


def _look(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _write(parent: int, name: str, entry: Entry) -> None:
    file = os.open(name, _NEW, 0o600, dir_fd=parent)
    try:
        for piece in entry.content:
            left = memoryview(piece)
            while left:
                left = left[os.write(file, left) :]
        os.fchown(file, entry.uid, entry.gid)
        os.fchmod(file, entry.mode)  # after the owner, for a change of that takes the set-id bits away
        _set_xattrs(file, entry)
        os.utime(file, ns=(entry.mtime_ns, entry.mtime_ns))
    finally:
        os.close(file)


def _make_device(parent: int, name: str, entry: Entry) -> None:
    if kernel.is_rootless():
        # Nobody but the host's root makes devices; a container has those that it needs in /dev.
        _log.warning("the layer's device %r is left out: it takes root to make one", entry.path)
        return
    kind = stat.S_IFCHR if entry.kind == "character" else stat.S_IFBLK
    os.mknod(name, kind | 0o600, os.makedev(*entry.device), dir_fd=parent)
    _adorn(parent, name, entry)


def _adorn(parent: int, name: str, entry: Entry, *, mode: bool = True) -> None:
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    if mode:
        os.chmod(name, entry.mode, dir_fd=parent)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _set_xattrs(file: int, entry: Entry) -> None:
    for key, value in entry.xattrs.items():
        try:
            os.setxattr(file, key, value)
        except OSError as error:
            if error.errno != errno.ENOTSUP:  # a file system without them
                raise
