"""`python -I -S hierarchies.py CMD ...`: become CMD, with every hierarchy of cgroup v1 mounted, hugetlb as well.

Where cgroup v2 still owns hugetlb, crun wants it mounted. So that nobody else's mount matters and none of ours is left,
all hierarchies are mounted anew, for this process and its children only. A program of its own, as what runs between a
fork and an exec runs with other libraries' threads gone; it needs the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
_LIBC = ctypes.CDLL(None, use_errno=True)


def needed() -> bool:
    """Whether this host has cgroup v1."""
    return (CGROUPS / "memory").is_dir()


def complete() -> None:
    _check(_LIBC.unshare(_CLONE_NEWNS), "unshare")
    _mount("none", CGROUPS, flags=_MS_REC | _MS_PRIVATE)
    links = {path.name: path.readlink() for path in CGROUPS.iterdir() if path.is_symlink()}
    opened = {path.name: os.open(path, os.O_PATH) for path in CGROUPS.iterdir() if path.name not in links}
    _mount("none", CGROUPS, "tmpfs", data="mode=755")
    for name, target in links.items():
        (CGROUPS / name).symlink_to(target)
    for name, descriptor in opened.items():
        if name != "hugetlb":
            (CGROUPS / name).mkdir()
            _mount(f"/proc/self/fd/{descriptor}", CGROUPS / name, flags=_MS_BIND)
        os.close(descriptor)
    (CGROUPS / "hugetlb").mkdir()
    _mount("hugetlb", CGROUPS / "hugetlb", "cgroup", data="hugetlb")


def _mount(source: str, target: Path, kind: str = "", *, flags: int = 0, data: str = "") -> None:
    words = (source.encode(), str(target).encode(), kind.encode() or None)
    _check(_LIBC.mount(*words, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    complete()
    os.execvp(sys.argv[1], sys.argv[1:])
