"""Layers as a user namespace sees them, image volumes, and the end of mounts. For the mounter's thread."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cri.errors import InvalidArgument, Unimplemented
from runtimes.native import kernel
from runtimes.native.images import overlay

EMPTY = "0"
"""A layer without anything in it; no real one has this number."""


@contextmanager
def mapped_layers(place: Path, namespace: Path) -> Iterator[None]:
    """While the block lasts, names of layers mean the same layers with their owners mapped into the user namespace.

    ``place`` is where they are mounted meanwhile; overlayfs keeps them afterwards. Raises Unimplemented where the
    kernel or the file system cannot map ids.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    layers = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _mount_mapped(layers, place, namespace)
        os.chdir(place)
        yield
    finally:
        os.fchdir(layers)
        os.close(layers)
        remove_mount(place)


def _mount_mapped(layers: int, place: Path, namespace: Path) -> None:
    users = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        tree = kernel.clone_tree(layers)
        try:
            kernel.change_tree(tree, kernel.MOUNT_ATTR_IDMAP, user_namespace=users)
            kernel.attach_tree(tree, place)
        finally:
            os.close(tree)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise Unimplemented(
            f"this kernel or the file system of {os.readlink(f'/proc/self/fd/{layers}')} cannot map the owners of files"
            " for a user namespace (Linux 5.19 or newer)"
        ) from error
    finally:
        os.close(users)


def mount_volume(lowers: Sequence[str], target: Path, sub_path: str) -> None:
    """Mount the layers read-only at ``target``, which is made; with ``sub_path``, what is there in them.

    Raises InvalidArgument for a ``sub_path`` that is not there.
    """
    target.mkdir(mode=0o755, parents=True, exist_ok=True)
    overlay.mount_read_only(lowers if len(lowers) > 1 else [*lowers, EMPTY], target)
    if not sub_path.strip("/"):
        return
    tree, is_file = _part(target, sub_path)
    try:
        remove_mount(target)
        if is_file:
            target.touch(mode=0o600)
        else:
            target.mkdir(mode=0o755)
        kernel.attach_tree(tree, target)
    finally:
        os.close(tree)


def _part(root: Path, sub_path: str) -> tuple[int, bool]:
    """A detached mount of a part of the mount at ``root``, and whether that part is a file."""
    opened = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            part = kernel.open_in_root(opened, sub_path, os.O_PATH)
        except OSError as error:
            raise InvalidArgument(
                f"image_sub_path: {sub_path!r} cannot be mounted from the image: {error.strerror}"
            ) from error
    finally:
        os.close(opened)
    try:
        is_file = not os.path.isdir(f"/proc/self/fd/{part}")
        return kernel.clone_tree(part), is_file
    finally:
        os.close(part)


def remove_mount(target: Path) -> None:
    """Unmount all that is mounted at ``target``, and remove the place; a second call finds nothing to do."""
    while True:
        try:
            kernel.unmount(target, kernel.MNT_DETACH | kernel.UMOUNT_NOFOLLOW)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            break  # nothing is mounted there any more
    try:
        target.rmdir()
    except NotADirectoryError:
        target.unlink()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EBUSY, errno.ENOENT):
            raise
