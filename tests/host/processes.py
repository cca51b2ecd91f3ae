"""Processes by /proc: whose they are, and their end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.host.names import MARK

_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def of_slot(path: Path, cgroups: Iterable[Path] = ()) -> set[int]:
    """The living processes that carry the slot's mark, their descendants, and members of `cgroups`."""
    found = marked(f"{MARK}={path}")
    parents = {pid: parent for pid in pids() if (parent := parent_of(pid)) is not None}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    for cgroup in cgroups:
        for folder, _, _ in os.walk(cgroup):  # a cgroup may go meanwhile: walk passes over it, rglob raises
            with contextlib.suppress(OSError):
                found |= {int(line) for line in Path(folder, "cgroup.procs").read_text().split()}
    return {pid for pid in found if pid > 1 and not is_zombie(pid)}


def marked(mark: str) -> set[int]:
    """The living processes with `mark` (NAME=VALUE) in the environment that they were started with."""
    return {pid for pid in pids() if mark.encode() in environment(pid) and not is_zombie(pid)}


def kill(pid: int, timeout: float, belongs: Callable[[int], bool]) -> None:
    """Kill a process and wait up to `timeout` seconds until it is dead. One that is gone is passed over, and one that
    does not belong to us: numbers are given anew, here within minutes, so it is looked at while it is held."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if belongs(pid):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], max(0.0, timeout))
        finally:
            os.close(handle)


def those_of_now() -> Callable[[int], bool]:
    """Whether a number is still, or again, that of a process that lives now. Ask for it before a look that takes its
    time: whom that found, and this knows, is whom it saw."""
    born = {pid: started_at(pid) for pid in pids()}
    return lambda pid: started_at(pid) == born.get(pid)


def pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def environment(pid: int) -> list[bytes]:
    return _read(pid, "environ").split(b"\0")


def command(pid: int) -> list[str]:
    """The argument vector; empty for kernel threads and zombies."""
    return [part.decode(errors="replace") for part in _read(pid, "cmdline").split(b"\0")[:-1]]


def parent_of(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def ancestors() -> set[int]:
    """This process, its parent, and so on."""
    found: set[int] = set()
    pid: int | None = os.getpid()
    while pid:
        found.add(pid)
        pid = parent_of(pid)
    return found


def is_zombie(pid: int) -> bool:
    """Whether the process is dead, be it gone or not yet waited for."""
    fields = _stat(pid)
    return not fields or fields[0] in "ZX"


def started_at(pid: int) -> str:
    """Clock ticks since boot; with the pid it names a process for good."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name, which may hold spaces and brackets itself."""
    return _read(pid, "stat").rpartition(b")")[2].decode().split()


def _read(pid: int, name: str) -> bytes:
    with contextlib.suppress(*_GONE):
        return Path("/proc", str(pid), name).read_bytes()
    return b""
