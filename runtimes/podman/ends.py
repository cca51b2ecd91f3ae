"""What Podman does not say of the ends of containers, or not reliably: noted here, and put into its own words.

A start that failed leaves no trace in the engine. Its monitor often misses that the kernel ran out of memory on cgroup
v1. And where both monitor and container were killed, the engine calls the container running for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from runtimes.podman import end_notes
from runtimes.podman.container_status import KILLED, nanoseconds
from runtimes.podman.engine import Engine
from runtimes.shared import cgroup_v1, cgroup_v2, cgroups, processes
from runtimes.shared.cgroups import Cgroup
from runtimes.shared.engine_process import listener

VANISHED = 255
"""Exit code of a process whose end nobody saw."""

_START_CODES = (("attempted to invoke a command that was not found", 127), ("OCI permission denied", 126))
"""By the constants of libpod's that end such an error."""

_KEPT = 4096
_UNPAUSED = ("", "THAWED")
_PROC = Path("/proc")

_ALIVE = ("running", "stopping")
"""Podman's words for a container whose process lives. The second is left where the engine was killed in a stop."""


class _Watched(NamedTuple):
    handle: int
    cgroup: Cgroup


class Ends:
    """Notes by container, here and, where the engine is, beside it (``end_notes``). To be closed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._failed: OrderedDict[str, str] = OrderedDict()
        self._out_of_memory: OrderedDict[str, None] = OrderedDict()
        self._vanished: OrderedDict[str, str] = OrderedDict()
        self._over: OrderedDict[str, None] = OrderedDict()
        self._watched: dict[str, _Watched] = {}
        self._sees_processes: bool | None = None
        self.on_end: Callable[[str], None] = lambda container_id: None
        """Called with the id of a container whose process has ended; the engine tells a little later, or never."""

    def close(self) -> None:
        """Watch no more."""
        for watched in self._watched.values():
            _release(watched.handle)
        self._watched.clear()

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        for notes in (self._failed, self._out_of_memory, self._vanished, self._over):
            notes.pop(container_id, None)
        self._unwatch(container_id)

    def note_failed_start(self, found: Mapping[str, Any], why: str) -> None:
        """The start of an inspected container failed: it counts as ended."""
        why = why or "its start failed"
        _note(self._failed, found["Id"], why)
        if self._engine.is_local:
            end_notes.note_failed_start(found, why)

    async def watch_new(self, found: Mapping[str, Any]) -> bool:
        """``watch`` a container that has got its process since it was inspected. Whether it is watched now: it may have
        ended, or not be seen from here."""
        if self._engine.is_local:
            self._watch(found, await asyncio.to_thread(noted_pid, found["PidFile"]))
        return found["Id"] in self._watched

    @contextlib.contextmanager
    def running(self, container_id: str) -> Iterator[int | None]:
        """A handle of the first process of a container that certainly runs, and is not paused, while the block lasts;
        None where only the engine can tell."""
        watched = self._watched.get(container_id)
        if watched is None or not _runs(watched):
            yield None
            return
        handle = os.dup(watched.handle)  # whoever waits with it does not take it from us
        try:
            yield handle
        finally:
            os.close(handle)

    def has_ended(self, container_id: str) -> bool:
        """Whether the first process of this container was seen to end."""
        return container_id in self._over

    async def missed(self, container_id: str) -> None:
        """A container has ended before it was watched: see to what it left."""
        await asyncio.to_thread(_kill_orphans, container_id)
        self.on_end(container_id)

    def watch(self, found: Mapping[str, Any]) -> None:
        """Be there when an inspected container ends, to ask its cgroup why before that is gone."""
        if self._engine.is_local:
            self._watch(found, int(found["State"].get("Pid") or 0))

    def _watch(self, found: Mapping[str, Any], pid: int) -> None:
        container_id = str(found["Id"])
        if not pid or container_id in self._watched:
            return
        try:
            cgroup = cgroups.of_process(pid).only(container_id)
            handle = os.pidfd_open(pid)
        except OSError:
            return  # it has ended, or is not to be seen from here
        if not processes.is_of_container(pid, container_id):
            os.close(handle)
            return
        self._watched[container_id] = _Watched(handle, cgroup)
        asyncio.get_running_loop().add_reader(handle, self._has_ended, found, cgroup)

    def complete(self, found: dict[str, Any]) -> None:
        """Add to what the engine says of an inspected container what is known here."""
        container_id, state = str(found["Id"]), found["State"]
        watched = self._watched.get(container_id)
        if watched is not None and processes.is_over(watched.handle):
            self._has_ended(found, watched.cgroup)  # the engine's answer came first; what is told now is to be whole
        if why := self._why_it_did_not_start(found):
            state["Error"] = state.get("Error") or why
            state["ExitCode"] = state["ExitCode"] or _start_code(why)
        if state["ExitCode"] == KILLED and self._ran_out_of_memory(found):
            state["OOMKilled"] = True
        if self.has_vanished(state["Status"], state.get("Pid") or 0, state.get("ConmonPid") or 0):
            when = self._vanished.get(container_id) or datetime.now(UTC).isoformat()
            _note(self._vanished, container_id, when)
            state.update(Status="exited", Running=False, Pid=0, ExitCode=VANISHED, Vanished=True, FinishedAt=when)

    def _why_it_did_not_start(self, found: Mapping[str, Any]) -> str:
        """Empty where it did, or nothing is known."""
        if found["State"]["Running"]:
            return ""
        known = self._failed.get(found["Id"], "")
        if not known and self._engine.is_local and nanoseconds(found["State"]["StartedAt"]) == 0:
            return end_notes.failed_start(found)
        return known

    def _ran_out_of_memory(self, found: Mapping[str, Any]) -> bool:
        return found["Id"] in self._out_of_memory or (self._engine.is_local and end_notes.ran_out_of_memory(found))

    def seems_vanished(self, found: Mapping[str, Any]) -> bool:
        """Whether an inspected container is taken for vanished for the first time. It may as well have ended in good
        order since the engine looked: then another look says so."""
        state = found["State"]
        words = (state["Status"], state.get("Pid") or 0, state.get("ConmonPid") or 0)
        return found["Id"] not in self._vanished and self.has_vanished(*words)

    def is_in_doubt(self, pid: int) -> bool:
        """Whether the process of a container that was listed as running has ended meanwhile, or long ago."""
        return pid > 0 and not (_PROC / str(pid)).exists() and self._shares_processes()

    def has_vanished(self, status: str, pid: int, monitor: int) -> bool:
        """Whether a container that the engine calls running has no process any more, nor anybody to tell of its end."""
        if status not in _ALIVE or not pid or not monitor or (_PROC / str(pid)).exists():
            return False
        return not (_PROC / str(monitor)).exists() and self._shares_processes()

    def _has_ended(self, found: Mapping[str, Any], cgroup: Cgroup) -> None:
        container_id = str(found["Id"])
        self._unwatch(container_id)
        _note(self._over, container_id, None)
        self.on_end(container_id)
        try:
            memory = (cgroup_v2 if cgroup.is_v2("memory") else cgroup_v1).memory(cgroup)
        except FileNotFoundError:
            return
        if memory.oom_kills:
            _note(self._out_of_memory, container_id, None)
            end_notes.note_out_of_memory(found)
        _kill_the_rest(cgroup)

    def _unwatch(self, container_id: str) -> None:
        watched = self._watched.pop(container_id, None)
        if watched is not None:
            _release(watched.handle)

    def _shares_processes(self) -> bool:
        """Whether the engine counts processes as we do."""
        if self._sees_processes is None and self._engine.is_local:
            self._sees_processes = _same_namespace(self._engine.address.removeprefix("unix://"))
        return bool(self._sees_processes)


def _runs(watched: _Watched) -> bool:
    """Whether the process lives, and is not frozen."""
    if processes.is_over(watched.handle):
        return False
    try:
        frozen = watched.cgroup.read_unified("cgroup.freeze").strip() == "1"
        return not frozen and watched.cgroup.read("freezer", "freezer.state").strip() in _UNPAUSED
    except OSError:  # its cgroup is gone
        return False


def noted_pid(file: str | Path) -> int:
    """What the monitor has written where the engine says; 0 where that cannot be read."""
    try:
        return int(Path(file).read_text())
    except (OSError, ValueError):
        return 0


def _same_namespace(path: str) -> bool | None:
    """Whether the process that listens at ``path`` is in our process namespace; None when nobody does."""
    try:
        theirs = os.readlink(_PROC / str(listener(path)) / "ns/pid")
    except OSError:
        return None
    return theirs == os.readlink(_PROC / "self/ns/pid")


def _start_code(why: str) -> int:
    """The exit code that shells have for a program that cannot be run; 0 for any other failed start."""
    return next((code for words, code in _START_CODES if words in why), 0)


def _kill_the_rest(cgroup: Cgroup) -> None:
    """Where a container shares the sandbox's processes, the kernel leaves those behind that its first one did not
    take along, and Podman waits for them for ever."""
    with contextlib.suppress(FileNotFoundError):
        processes.kill_listed(cgroup.process_ids)


def _kill_orphans(container_id: str) -> None:
    """As ``_kill_the_rest``, where nobody saw the first process, nor what cgroup it was in. Its monitor stays."""

    def is_orphan(pid: int) -> bool:
        monitors = b"conmon" in (_PROC / str(pid) / "cgroup").read_bytes()
        return not monitors and processes.is_of_container(pid, container_id)

    for pid in processes.of_container(container_id):
        with contextlib.suppress(OSError):
            processes.send(pid, signal.SIGKILL, is_orphan)


def _note(notes: OrderedDict[str, Any], container_id: str, note: str | None) -> None:
    notes[container_id] = note
    if len(notes) > _KEPT:
        notes.popitem(last=False)


def _release(handle: int) -> None:
    asyncio.get_running_loop().remove_reader(handle)
    os.close(handle)
