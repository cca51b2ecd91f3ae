"""Mounting layers over each other. The calling thread's working directory is that of the layers, so that their names
are short: all options of a mount share one page."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from cri.errors import FailedPrecondition
from runtimes.native import kernel

MOST_LAYERS = 499
"""The kernel takes 500 below the writable one; a container adds none, an image volume may add an empty one."""

_PAGE = 4096
_ESCAPED = str.maketrans({"\\": "\\\\", ",": "\\,", ":": "\\:"})
_OF_HOST = ("index=off", "metacopy=off", "redirect_dir=off")
"""What a host may have switched on for its own mounts would make layers depend on where they came from."""

_OF_USER = ("index=off", "userxattr")
"""In a user namespace the kernel has its notes on files in attributes that anybody may write, and trusts no others."""


def mount_writable(lowers: Sequence[str], upper: Path, work: Path, target: Path, *, label: str = "") -> None:
    """``lowers`` begins with the topmost. ``label`` is SELinux's for all files. Raises OSError, FailedPrecondition."""
    options = [*_lower(lowers), f"upperdir={_escaped(upper)}", f"workdir={_escaped(work)}", *_context(label)]
    try:
        # Nobody needs the file system to be written out when the mount goes: what is in it is removed, or synced by us.
        _mount(target, [*options, "volatile"], 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _mount(target, options, 0)  # Linux before 5.10


def mount_read_only(lowers: Sequence[str], target: Path, *, label: str = "") -> None:
    """The same without a writable layer; at least two lowers. Programs in it may be run, as the public suite asks."""
    flags = kernel.MS_RDONLY | kernel.MS_NODEV | kernel.MS_NOSUID
    _mount(target, [*_lower(lowers), *_context(label)], flags)


def _lower(lowers: Sequence[str]) -> list[str]:
    return ["lowerdir=" + ":".join(lowers), *(_OF_USER if kernel.is_rootless() else _OF_HOST)]


def _context(label: str) -> list[str]:
    return [f'context="{label}"'] if label else []


def _escaped(path: Path) -> str:
    return os.fspath(path).translate(_ESCAPED)


def _mount(target: Path, options: Sequence[str], flags: int) -> None:
    data = ",".join(options)
    if len(os.fsencode(data)) >= _PAGE:
        raise FailedPrecondition(f"the overlay on {target} has too many layers for one page of options: {data:.200}")
    try:
        kernel.mount("overlay", target, "overlay", flags, data)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise FailedPrecondition("this kernel has no overlayfs: modprobe overlay") from error
        if error.errno in (errno.EPERM, errno.EINVAL) and kernel.is_rootless():
            raise FailedPrecondition(
                f"this kernel, {platform.release()}, lets no user mount overlayfs ({error.strerror}); "
                "Linux 5.11 and newer do. Run as root, or take Podman, which has fuse-overlayfs for older ones"
            ) from error
        raise
