"""Unpacking one layer on top of others. Runs in a thread of its own, which is of no other use afterwards."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from runtimes.native import kernel
from runtimes.native.images import overlay, streams
from runtimes.native.images.entries import entries
from runtimes.native.images.failures import BadImage, translated
from runtimes.native.images.unpack import apply
from runtimes.shared import disk_usage

_PLAIN = 0o755
"""Mode of the root directory where no layer says another."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``blob`` becomes the directory ``layers/number``, where nothing is yet; ``lowers`` begins with the topmost.

    ``workspace`` is an empty directory on the same file system, for the caller to remove.
    """

    blob: Path
    diff_id: str
    layers: Path
    number: int
    lowers: Sequence[int]
    workspace: Path


@dataclass(frozen=True, slots=True)
class Built:
    """What the layer takes on the disk."""

    size: int
    inodes: int


def build(plan: Plan, stop: threading.Event) -> Built:
    """Raises BadImage for a layer that is not what it is said to be, ResourceExhausted on a full disk, Cancelled once
    ``stop`` is set. What was made so far is the caller's to remove."""
    directory = plan.layers / str(plan.number)
    with translated(f"layer {plan.diff_id} cannot be unpacked"), ExitStack() as stack:
        directory.mkdir(_PLAIN)
        os.chmod(directory, _PLAIN)  # whatever the umask
        root = os.open(_merged(plan, directory, stack), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, root)
        source = stack.enter_context(streams.opened(plan.blob))
        stream = streams.Pouring(source, stop)
        apply(entries(stream), root)
        stream.drain()
        if stream.digest != plan.diff_id:
            raise BadImage(f"a layer of the image is {stream.digest} and not, as its config says, {plan.diff_id}")
    used = disk_usage.below(str(directory))
    return Built(used.used_bytes or 0, used.inodes or 0)


def _merged(plan: Plan, directory: Path, stack: ExitStack) -> Path:
    """The union in which the layer is unpacked: the kernel knows best what removing in it means.

    It is mounted where nobody else sees it, in this thread's own mount namespace, and ends with the thread, however
    that ends.
    """
    if not plan.lowers:
        return directory
    topmost = plan.layers / str(plan.lowers[0])
    found = topmost.stat()
    os.chown(directory, found.st_uid, found.st_gid)
    os.chmod(directory, found.st_mode & 0o7777)
    merged, work = plan.workspace / "merged", plan.workspace / "work"
    merged.mkdir()
    work.mkdir()
    kernel.unshare(kernel.Namespace.MNT | kernel.CLONE_FS)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)
    os.chdir(plan.layers)
    overlay.mount_writable([str(number) for number in plan.lowers], directory, work, merged)
    stack.callback(kernel.unmount, merged)
    return merged
