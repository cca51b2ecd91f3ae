"""System calls that the standard library lacks: mounts, namespaces, and opening paths that somebody else named. Each
raises OSError with what it was about."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from enum import IntFlag
from functools import lru_cache
from pathlib import Path

from cri.errors import FailedPrecondition

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_IDMAP = 0x00100000

CLONE_FS = 0x200
"""For ``unshare``: a working directory of the thread's own."""

_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_OPEN_TREE_CLONE = 0x01
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
"""The same numbers on every architecture."""
_SETRESUID = {"x86_64": 117, "aarch64": 147}


class Namespace(IntFlag):
    """Kinds of namespaces, by the kernel's clone flags. The lower-case name is the file's in /proc/PID/ns."""

    NET = 0x40000000
    IPC = 0x08000000
    UTS = 0x04000000
    USER = 0x10000000
    PID = 0x20000000
    MNT = 0x00020000


_ALL_USERS = ["0", "0", "4294967295"]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@lru_cache(maxsize=1)
def is_rootless() -> bool:
    """Whether this process is root only in a user namespace: the host's devices, cgroups and labels are not its."""
    return Path("/proc/self/uid_map").read_text().split() != _ALL_USERS


def mount(source: str | Path, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), os.fsencode(kind), ctypes.c_ulong(flags), os.fsencode(data)
    )
    _check(result, f"mount {source} on {target}")


def unmount(target: str | Path, flags: int = UMOUNT_NOFOLLOW) -> None:
    """umount2(2); by default a busy mount is EBUSY, and a symbolic link is not followed."""
    _check(_libc.umount2(os.fsencode(target), flags), f"unmount {target}")


def unshare(kinds: int) -> None:
    """Give the calling thread namespaces of its own. A thread that did must end, never go back to a pool."""
    _check(_libc.unshare(kinds), "unshare")


def enter(namespace: int, kind: int = 0) -> None:
    """setns(2) of the calling thread into the namespace that the descriptor is of; as for ``unshare``, the thread must
    end, or go back."""
    _check(_libc.setns(namespace, kind), "setns")


def set_host_name(name: str) -> None:
    """Of the calling thread's UTS namespace."""
    encoded = os.fsencode(name)
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")


def become(user: int) -> None:
    """Give the calling thread another effective user, and with it the loss of root's rights: it must end. Raises
    FailedPrecondition on an architecture that this was not written for."""
    number = _SETRESUID.get(os.uname().machine)
    if number is None:
        raise FailedPrecondition(f"this is not possible on {os.uname().machine} yet")
    # The library's own call would change every thread.
    _syscall("setresuid", number, -1, user, -1)


def syncfs(file: int) -> None:
    """Write the whole file system of an open file to the disk."""
    _check(_libc.syncfs(file), "syncfs")


def open_in_root(root: int, path: str | bytes | Path, flags: int) -> int:
    """Open ``path`` as a process sees it whose root directory is ``root``: no link and no ``..`` leads out of it."""
    return _openat2(root, path, flags, _RESOLVE_IN_ROOT)


def open_beneath(root: int, path: str | bytes | Path, flags: int) -> int:
    """Open ``path`` below ``root``, where no part of it may be a symbolic link or lead out: ELOOP or EXDEV."""
    return _openat2(root, path, flags, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)


def _openat2(root: int, path: str | bytes | Path, flags: int, resolve: int) -> int:
    """Raises FailedPrecondition on a kernel that lacks the call."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    try:
        return _syscall(f"open {os.fsdecode(path)}", _OPENAT2, root, os.fsencode(path) or b".", how, len(how))
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise FailedPrecondition("the native engine needs Linux 5.6 or newer (openat2)") from error
        raise


def clone_tree(directory: int, path: str | Path = "", *, recursive: bool = False) -> int:
    """A detached copy of the mount at ``path``, from there down; closing it unmounts it. Linux 5.2."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    return _syscall(f"clone the mount {path}", _OPEN_TREE, directory, os.fsencode(path), flags)


def attach_tree(tree: int, target: str | Path) -> None:
    """Mount what ``clone_tree`` gave at ``target``."""
    _syscall(f"mount on {target}", _MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)


def change_tree(tree: int, attributes: int, *, user_namespace: int = 0, recursive: bool = False) -> None:
    """Add ``MOUNT_ATTR_*`` to a mount; with MOUNT_ATTR_IDMAP its ids are those of ``user_namespace``. Linux 5.12."""
    how = struct.pack("=QQQQ", attributes, 0, 0, user_namespace)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _syscall("mount_setattr", _MOUNT_SETATTR, tree, b"", flags, how, len(how))


def _syscall(what: str, number: int, *arguments: int | bytes) -> int:
    words = [ctypes.c_char_p(each) if isinstance(each, bytes) else ctypes.c_long(each) for each in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        _check(result, what)
    return result


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
