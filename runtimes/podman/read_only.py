"""What is to be read-only and libpod's API has no word for: made so in the container itself, between its making and the
start of its command, in the way that OCI runtimes do it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cri.errors import FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman.features import EngineFacts
from runtimes.podman.security import READONLY_PATHS
from runtimes.shared import process_end

_CLONE_FS = 0x200
_CLONE_NEWNS = 0x20000
_MS_RDONLY = 1
_MS_REMOUNT = 32
_MS_BIND = 4096
_MS_REC = 16384
_MS_RELATIME = 1 << 21
_SAME_FLAGS = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME
"""Those of statvfs(3) that mount(2) knows by the same number."""

_MISSING = (FileNotFoundError, NotADirectoryError)

_libc = ctypes.CDLL(None, use_errno=True)


class ReadOnly(NamedTuple):
    """What is left to do. False where nothing is."""

    paths: tuple[str, ...]
    trees: tuple[str, ...]
    """Mounts that are to be so with all that is mounted below them."""
    others: tuple[str, ...]
    """All other mounts that were asked for: these are as they are, also below a tree."""

    def __bool__(self) -> bool:
        return bool(self.paths or self.trees)


def wanted(config: v1.ContainerConfig) -> ReadOnly:
    """What is asked for that Podman does for nobody. Pure."""
    context = config.linux.security_context
    paths = () if context.privileged else (path for path in context.readonly_paths if path not in READONLY_PATHS)
    places: dict[bool, list[str]] = {True: [], False: []}
    for mount in config.mounts:
        places[mount.recursive_read_only].append(mount.container_path)
    return ReadOnly(tuple(paths), tuple(places[True]), tuple(places[False]))


def covered(mountinfo: str, trees: Iterable[str], others: Iterable[str]) -> list[str]:
    """The mounts, by the /proc/PID/mountinfo of a process, that are one of ``trees`` or below one, and neither one of
    ``others`` nor below one that is nearer. All are paths without links. Pure."""
    wholes = set(trees)
    places = sorted({*wholes, *others}, key=len, reverse=True)
    points = dict.fromkeys(_plain(line.split(" ", 5)[4]) for line in mountinfo.splitlines())
    return [point for point in points if next((each for each in places if _is_in(point, each)), "") in wholes]


def _is_in(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")


def _plain(escaped: str) -> str:
    """The kernel writes blanks and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), escaped)


def has_reach(facts: EngineFacts, *, is_local: bool) -> bool:
    """Whether the mounts of the engine's containers can be changed from here."""
    return is_local and not facts.features.rootless and os.geteuid() == 0


def check(config: v1.ContainerConfig, facts: EngineFacts, *, is_local: bool) -> None:
    """Raises Unimplemented for what cannot be made read-only from here."""
    asked = wanted(config)
    if asked.paths and not has_reach(facts, is_local=is_local):
        raise Unimplemented(
            "config.linux.security_context.readonly_paths: Podman makes no other paths read-only than "
            f"{', '.join(READONLY_PATHS)}; {asked.paths[0]!r} only root beside the engine of root could; it can be "
            "masked, or mounted read-only"
        )
    if asked.trees and not has_reach(facts, is_local=is_local):
        raise Unimplemented(
            f"config.mounts: {asked.trees[0]!r} is to be read-only with all below it, which libpod's API does not "
            "take, and only root beside the engine of root could do"
        )


async def protect(container_id: str, pid: int, asked: ReadOnly) -> None:
    """Do it for a container that was made and whose first process, ``pid``, has not begun its command. A path that is
    not there is passed over, as OCI runtimes do. Raises FailedPrecondition."""
    try:
        await asyncio.to_thread(_protect, container_id, pid, asked)
    except OSError as error:
        raise FailedPrecondition(f"what is to be read-only cannot be made so: {error}") from error


def _protect(container_id: str, pid: int, asked: ReadOnly) -> None:
    with process_end.held(pid, container_id) as process:
        if process is None:
            raise ProcessLookupError("its first process is not to be seen from here")
        mountinfo = os.fsdecode(Path("/proc", str(pid), "mountinfo").read_bytes())
        namespace = os.open(Path("/proc", str(pid), "ns/mnt"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        # A thread of its own, which ends with the work: there is no way back from another root.
        with ThreadPoolExecutor(1, thread_name_prefix="podman-read-only") as thread:
            thread.submit(_mount_inside, namespace, mountinfo, asked).result()
    finally:
        os.close(namespace)


def _mount_inside(namespace: int, mountinfo: str, asked: ReadOnly) -> None:
    _checked(_libc.unshare(_CLONE_FS), "unshare")
    _checked(_libc.setns(namespace, _CLONE_NEWNS), "setns")
    for point in covered(mountinfo, map(os.path.realpath, asked.trees), map(os.path.realpath, asked.others)):
        with suppress(*_MISSING):  # another mount lies over it
            _remount(point)
    for path in asked.paths:
        with suppress(*_MISSING):
            _mount(path, _MS_BIND | _MS_REC)
            _remount(path)


def _remount(path: str) -> None:
    # What the mount forbids besides has to be said again: a remount allows what it does not name.
    has = os.statvfs(path).f_flag
    kept = has & _SAME_FLAGS | (_MS_RELATIME if has & os.ST_RELATIME else 0)
    _mount(path, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept)


def _mount(path: str, flags: int) -> None:
    name = os.fsencode(path)
    _checked(_libc.mount(name, name, None, ctypes.c_ulong(flags), None), path)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
