"""A file system in memory: the root of a fake container, and the fake host that its mounts come from.

No real file is read or written here.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


def absolute(path: str, cwd: str = "/") -> str:
    """``path`` seen from ``cwd``, without ``.`` and ``..``; never above the root."""
    return posixpath.normpath(posixpath.join("/", cwd, path)).replace("//", "/")


@dataclass(slots=True)
class Tree:
    """Files by absolute path, and the directories that exist."""

    files: dict[str, bytes] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {"/"})

    @classmethod
    def of(cls, files: Mapping[str, bytes], directories: tuple[str, ...] = ()) -> Tree:
        tree = cls()
        for path in directories:
            tree.make_directory(path)
        for path, data in files.items():
            tree.write(path, data)
        return tree

    def copy(self) -> Tree:
        return Tree(dict(self.files), set(self.directories))

    def make_directory(self, path: str) -> None:
        path = absolute(path)
        while path not in self.directories:
            self.directories.add(path)
            path = posixpath.dirname(path)

    def write(self, path: str, data: bytes) -> None:
        path = absolute(path)
        self.make_directory(posixpath.dirname(path))
        self.files[path] = data


@dataclass(frozen=True, slots=True)
class Mounted:
    """``tree``'s directory or file ``source`` seen at ``target``."""

    target: str
    tree: Tree
    source: str = "/"
    readonly: bool = False


class FileSystem:
    """What the processes of one container see: a root and mounts over it; the longest target wins."""

    def __init__(self, root: Tree, mounts: tuple[Mounted, ...] = (), *, readonly: bool = False) -> None:
        self._mounts = sorted(
            (Mounted("/", root, "/", readonly), *mounts), key=lambda mount: len(mount.target), reverse=True
        )
        for mount in mounts:
            is_file = mount.source in mount.tree.files
            root.make_directory(posixpath.dirname(mount.target) if is_file else mount.target)
        self._at_first = self._measured()

    def _place(self, path: str) -> tuple[Mounted, str]:
        path = absolute(path)
        for mount in self._mounts:
            if path == mount.target or path.startswith(mount.target.rstrip("/") + "/"):
                inner = path[len(mount.target.rstrip("/")) :]
                return mount, absolute(mount.source + "/" + inner)
        raise _os_error(errno.ENOENT, path)  # not reached: the root takes every path

    def _writable(self, path: str) -> tuple[Tree, str]:
        mount, inner = self._place(path)
        if mount.readonly:
            raise _os_error(errno.EROFS, path)
        return mount.tree, inner

    def is_file(self, path: str) -> bool:
        mount, inner = self._place(path)
        return inner in mount.tree.files

    def is_directory(self, path: str) -> bool:
        mount, inner = self._place(path)
        return inner in mount.tree.directories

    def exists(self, path: str) -> bool:
        return self.is_file(path) or self.is_directory(path)

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError, IsADirectoryError."""
        mount, inner = self._place(path)
        data = mount.tree.files.get(inner)
        if data is None:
            raise _os_error(errno.EISDIR if inner in mount.tree.directories else errno.ENOENT, path)
        return data

    def write(self, path: str, data: bytes, *, append: bool = False) -> None:
        """Raises FileNotFoundError (no such directory), IsADirectoryError, OSError (read-only)."""
        tree, inner = self._writable(path)
        if inner in tree.directories:
            raise _os_error(errno.EISDIR, path)
        if posixpath.dirname(inner) not in tree.directories:
            raise _os_error(errno.ENOENT, path)
        tree.files[inner] = tree.files.get(inner, b"") + data if append else data

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        """Raises FileExistsError, FileNotFoundError, OSError (read-only)."""
        tree, inner = self._writable(path)
        if inner in tree.files or (inner in tree.directories and not parents):
            raise _os_error(errno.EEXIST, path)
        if not parents and posixpath.dirname(inner) not in tree.directories:
            raise _os_error(errno.ENOENT, path)
        tree.make_directory(inner)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Raises FileNotFoundError, IsADirectoryError, OSError (read-only)."""
        tree, inner = self._writable(path)
        if inner in tree.files:
            del tree.files[inner]
            return
        if inner not in tree.directories:
            raise _os_error(errno.ENOENT, path)
        if not recursive:
            raise _os_error(errno.EISDIR, path)
        below = inner.rstrip("/") + "/"
        for name in [name for name in tree.files if name.startswith(below)]:
            del tree.files[name]
        tree.directories -= {name for name in tree.directories if name == inner or name.startswith(below)}

    def children(self, path: str) -> Iterator[str]:
        """The names in a directory, sorted. Raises FileNotFoundError, NotADirectoryError."""
        mount, inner = self._place(path)
        if inner not in mount.tree.directories:
            raise _os_error(errno.ENOTDIR if inner in mount.tree.files else errno.ENOENT, path)
        below = inner.rstrip("/") + "/"
        inside = {*mount.tree.files, *mount.tree.directories}
        names = {name[len(below) :].split("/")[0] for name in inside if name.startswith(below) and name != below}
        yield from sorted(names - {""})

    def used(self) -> tuple[int, int]:
        """Bytes and inodes that were written outside mounts."""
        size, inodes = self._measured()
        return max(0, size - self._at_first[0]), max(0, inodes - self._at_first[1])

    def _measured(self) -> tuple[int, int]:
        root = self._mounts[-1].tree
        return sum(map(len, root.files.values())), len(root.files) + len(root.directories)


def _os_error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
