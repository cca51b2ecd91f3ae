"""The ends of containers and of sandboxes' inits: noticed, noted in their records, and told to who waits for them.

The monitor leaves a file with the exit code; whoever sees it first, of all processes that share the state, notes what
it says. A monitor that is gone without such a file was killed, and what it watched is put to an end, unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cri.errors import CRIError
from cri.logs.inotify import Watch
from cri.streaming.transport import cancel
from runtimes.native import cgroup_tree, container_status
from runtimes.native.monitor import Monitors, is_monitor
from runtimes.native.places import Places
from runtimes.native.records import ContainerRecord, Phase, Records, SandboxRecord
from runtimes.shared import cgroup_v1, cgroup_v2, processes

_log = logging.getLogger(__name__)


class Ends:
    """Watches from ``start`` to ``aclose``."""

    def __init__(self, records: Records, monitors: Monitors, places: Places) -> None:
        self._records = records
        self._monitors = monitors
        self._places = places
        self._exits = places.exits
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._handles: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self.on_end: Callable[[str], None] = lambda record_id: None
        """Called with the id of a container that has ended, or of a sandbox whose init has."""

    def start(self) -> None:
        """Begin to watch, also what is there already."""
        self._exits.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._task = asyncio.create_task(self._watch(), name="native-ends")
        self.catch_up()

    async def aclose(self) -> None:
        """Watch no more. Safe to call twice."""
        if self._task is not None:
            await cancel(self._task)
        for record_id in tuple(self._handles):
            self._let_go(record_id)

    def catch_up(self) -> None:
        """Watch everything that runs, also what other processes started, and note what has ended."""
        for container in self._records.containers.where("phase", Phase.RUNNING):
            self.watch(container)
        for sandbox in self._records.sandboxes.where("phase", Phase.READY):
            self.watch_init(sandbox)

    def watch(self, record: ContainerRecord) -> None:
        """Be there when the monitor of a running container is gone, with or without a word."""
        if not self.settle(record):
            pid = record.monitor_pid
            self._watch_process(record.id, pid, lambda: is_monitor(pid, record.id), lambda: self._look(record.id))

    def watch_init(self, record: SandboxRecord) -> None:
        """Be there when the init of a ready sandbox has ended, where it has one."""
        if record.init_pid and not self.settle_sandbox(record):
            pid = record.init_pid
            self._watch_process(
                record.id, pid, lambda: self._lives(pid, record.id), lambda: self._look_at_init(record.id)
            )

    def settle(self, record: ContainerRecord) -> bool:
        """Note the end of a running container, if it has ended; whether it has."""
        if record.phase is not Phase.RUNNING:
            self._tell(record.id)  # another process has noted it, and told only its own
            return record.phase is not Phase.STARTING
        exit_file = self._monitors.exit_file(record.id)
        try:
            code, finished_ns = int(exit_file.read_text()), exit_file.stat().st_mtime_ns
            reason = ""
        except FileNotFoundError:
            if is_monitor(record.monitor_pid, record.id):
                return False
            # It may have left the file between the two looks.
            if exit_file.exists():
                return self.settle(record)
            code, finished_ns, reason = container_status.VANISHED, time.time_ns(), "Unknown"
        self._note(record, code, finished_ns, reason)
        return True

    def settle_sandbox(self, record: SandboxRecord) -> bool:
        """Note that a ready sandbox has lost its init, if it has; whether it has."""
        if not record.init_pid or self._lives(record.init_pid, record.id):
            return False
        changes = {"phase": Phase.STOPPED, "finished_ns": time.time_ns()}
        if self._records.sandboxes.update(record.id, [Phase.READY], **changes):
            self.on_end(record.id)
        return True

    async def wait(self, container_id: str) -> None:
        """Until the container does not run any more, or is gone."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(container_id, set()).add(ended)
        try:
            record = self._records.containers.get(container_id)
            if record is None or record.phase is not Phase.RUNNING:
                return
            self.watch(record)
            await ended
        finally:
            waiting = self._waiting[container_id]
            waiting.discard(ended)
            if not waiting:
                del self._waiting[container_id]

    def forget(self, record_id: str) -> None:
        """The thing is gone, or not to be watched any more."""
        self._let_go(record_id)
        self._tell(record_id)

    def _lives(self, pid: int, sandbox_id: str) -> bool:
        """Whether the process is the sandbox's init, and has not ended, even if nobody has waited for it yet."""
        if processes.has_ended(pid):
            return False
        pinned = self._places.namespaces(sandbox_id) / "pid"
        return processes.is_of_container(pid, sandbox_id) or _is_in(pid, pinned)

    def _note(self, record: ContainerRecord, code: int, finished_ns: int, reason: str) -> None:
        cgroup = cgroup_tree.from_text(record.cgroup)
        out_of_memory = False
        with contextlib.suppress(FileNotFoundError):
            memory = (cgroup_v2 if cgroup.is_v2("memory") else cgroup_v1).memory(cgroup)
            out_of_memory = bool(memory.oom_kills)
        cgroup_tree.kill_rest(cgroup, record.id)
        changes = {
            "phase": Phase.EXITED,
            "exit_code": code,
            "finished_ns": finished_ns,
            "reason": reason or container_status.reason(code, out_of_memory=out_of_memory),
        }
        if self._records.containers.update(record.id, [Phase.RUNNING], **changes):
            self.on_end(record.id)
        self.forget(record.id)

    async def _watch(self) -> None:
        with Watch(self._exits) as watch:
            while True:
                self._settle_each(os.listdir(self._exits))
                await watch.changed()

    def _settle_each(self, names: Iterable[str]) -> None:
        try:
            ended = set(names)
            if ended:
                for record in self._records.containers.where("phase", Phase.RUNNING):
                    if record.id in ended:
                        self.settle(record)
        except (CRIError, OSError) as error:
            # The next end, or the next look at the container, comes back to it.
            _log.warning("the end of a container cannot be noted now: %s", error)

    def _watch_process(self, record_id: str, pid: int, is_it: Callable[[], bool], look: Callable[[], None]) -> None:
        if record_id in self._handles:
            return
        try:
            handle = os.pidfd_open(pid)
        except (ProcessLookupError, ValueError):
            asyncio.get_running_loop().call_soon(look)
            return
        if not is_it():
            os.close(handle)
            asyncio.get_running_loop().call_soon(look)
            return
        self._handles[record_id] = handle
        asyncio.get_running_loop().add_reader(handle, self._is_over, record_id, look)

    def _is_over(self, record_id: str, look: Callable[[], None]) -> None:
        self._let_go(record_id)
        try:
            look()
        except (CRIError, OSError) as error:
            _log.warning("the end of %s cannot be noted now: %s", record_id, error)

    def _look(self, container_id: str) -> None:
        record = self._records.containers.get(container_id)
        if record is not None:
            self.settle(record)
        else:
            self._tell(container_id)

    def _look_at_init(self, sandbox_id: str) -> None:
        record = self._records.sandboxes.get(sandbox_id)
        if record is not None and record.phase is Phase.READY:
            self.settle_sandbox(record)

    def _let_go(self, record_id: str) -> None:
        handle = self._handles.pop(record_id, None)
        if handle is not None:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)

    def _tell(self, record_id: str) -> None:
        for ended in self._waiting.get(record_id, ()):
            if not ended.done():
                ended.set_result(None)


def _is_in(pid: int, namespace: Path) -> bool:
    """Whether the process is in the pinned process namespace."""
    try:
        return os.path.samefile(f"/proc/{pid}/ns/pid", namespace)
    except OSError:
        return False
