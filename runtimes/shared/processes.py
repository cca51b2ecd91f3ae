"""Killing a process that an engine started, with all that it started. Needs /proc of the engine's own host."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

DEATH_PATIENCE = 5.0
"""Seconds that killed processes get to be gone; one that sleeps in the kernel may take as long as it likes."""

_PROC = Path("/proc")


class Process(NamedTuple):
    """A row of the table of processes."""

    parent: int
    session: int


def is_of_container(pid: int, container_id: str) -> bool:
    """Whether ``pid``, a number that the engine told, is here and now a process of that container.

    It is not when the process has ended and its number was given to another, or when the engine counts processes in
    another namespace than ours. The name of the cgroup tells, and of a container without one of its own the writable
    layer of its root, if that is called after it.
    """
    try:
        groups = (_PROC / str(pid) / "cgroup").read_text()
        if not container_id or container_id in groups:
            return bool(container_id)
        return container_id in _root((_PROC / str(pid) / "mountinfo").read_text())
    except OSError:
        return False


def of_container(container_id: str) -> list[int]:
    """Every process of the container that can be seen from here."""
    return [pid for pid in table() if is_of_container(pid, container_id)]


def _root(mountinfo: str) -> str:
    """How the root of a process is mounted, by its /proc/PID/mountinfo; empty where that is no overlay. Pure."""
    for line in mountinfo.splitlines():
        if line.split(" ", 5)[4] == "/" and " - overlay " in line:
            return line
    return ""


def may_kill(pid: int, container_id: str) -> bool:
    """Whether ``pid`` is a process of that container and this process has the right to signal it."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0 and is_of_container(pid, container_id)


def has_ended(pid: int) -> bool:
    """Whether there is no such process, or only what is left of one until somebody waits for it."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return True
    return text.rpartition(b")")[2].split()[0] in (b"Z", b"X")


def is_over(handle: int) -> bool:
    """Whether the process of a handle has ended."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def send(pid: int, number: int, belongs: Callable[[int], bool]) -> bool:
    """Signal the process that a record or a list has as ``pid``, if it ``belongs``; whether there was one.

    The look comes while it is held, for the number may have been given to another. Raises PermissionError.
    """
    with ExitStack() as held:
        try:
            handle = _hold(pid, held) if pid > 0 else None
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            handle = -1  # before Linux 5.3: the look comes just before
        if handle is None or not belongs(pid):
            return False
        try:
            os.kill(pid, number) if handle < 0 else signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        return True


def kill_listed(listed: Callable[[], Collection[int]]) -> None:
    """SIGKILL every process of a list that can be asked again, such as a cgroup's. One not ours to kill stays."""
    for pid in listed():
        with contextlib.suppress(PermissionError):
            send(pid, signal.SIGKILL, lambda found: found in listed())


def kill_of_container(container_id: str) -> None:
    """SIGKILL every process of the container that can be seen from here; one that is not ours to kill stays."""
    for pid in of_container(container_id):
        with contextlib.suppress(PermissionError):
            send(pid, signal.SIGKILL, lambda found: is_of_container(found, container_id))


def kill_tree(pid: int, container_id: str) -> bool:
    """SIGKILL ``pid``, its descendants and its session, and wait until they are dead. Blocks.

    Returns False, having killed nothing, when ``pid`` is not a process of the container. Raises OSError where the
    kernel has no handles of processes (before 5.3), PermissionError for a process that is not ours to kill.
    """
    return _kill(pid, lambda found: is_of_container(found, container_id))


def kill_family(pid: int) -> bool:
    """As ``kill_tree``, of a child of our own, which is whose it is without a look."""
    return _kill(pid, lambda found: True)


def _kill(pid: int, belongs: Callable[[int], bool]) -> bool:
    with ExitStack() as held:
        root = _hold(pid, held)
        # Looked at while held: the number cannot have changed hands in between without the look noticing.
        if root is None or not belongs(pid):
            return False
        handles: dict[int, int] = {pid: root}
        try:
            # Stopped processes start no others, so this ends: a round that finds nothing new has found all.
            signal.pidfd_send_signal(root, signal.SIGSTOP)
            while found := tree(table(), pid) - handles.keys():
                for each in found:
                    handle = _hold(each, held)
                    if handle is not None and belongs(each):
                        handles[each] = handle
                        _send(handle, signal.SIGSTOP)
                if not found & handles.keys():
                    break
        finally:
            for handle in handles.values():
                _send(handle, signal.SIGKILL)
        _wait(set(handles.values()))
    return True


def tree(processes: Mapping[int, Process], root: int) -> set[int]:
    """``root``, its descendants, and what shares its session: an orphan has another parent but the same session. Pure.

    Engines make each command that they start the leader of a session of its own.
    """
    found = {root} | {pid for pid, process in processes.items() if process.session == root}
    children: dict[int, list[int]] = {}
    for pid, process in processes.items():
        children.setdefault(process.parent, []).append(pid)
    waiting = list(found)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found & (processes.keys() | {root})


def table() -> dict[int, Process]:
    """Every process that can be seen from here."""
    found: dict[int, Process] = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            # One that ended in the meantime has no row.
            with contextlib.suppress(OSError):
                found[int(entry.name)] = parse_stat(Path(entry.path, "stat").read_bytes())
    return found


def parse_stat(text: bytes) -> Process:
    """Read /proc/PID/stat, in which the name may hold spaces and parentheses. Pure."""
    fields = text.rpartition(b")")[2].split()
    return Process(parent=int(fields[1]), session=int(fields[3]))


def _hold(pid: int, held: ExitStack) -> int | None:
    """A handle of the process that has the number ``pid`` now; None when there is none."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    held.callback(os.close, handle)
    return handle


def _send(handle: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)


def _wait(handles: set[int]) -> None:
    """Until all are dead, or for DEATH_PATIENCE."""
    deadline = time.monotonic() + DEATH_PATIENCE
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    while handles and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(left * 1000):
            poll.unregister(handle)
            handles.discard(handle)
