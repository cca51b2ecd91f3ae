"""What happens to a container that is there: start, end, and what the OCI runtime and the monitor leave."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial

from cri.errors import CRIError, FailedPrecondition
from runtimes.native import cgroup_tree, container_status, stragglers
from runtimes.native.ends import Ends
from runtimes.native.killing import Killing, RuntimeOf
from runtimes.native.locks import Locks
from runtimes.native.monitor import Monitors, Started, StartRefused, Wish, is_monitor
from runtimes.native.records import ContainerRecord, Phase, Records
from runtimes.shared import cgroups, monitor_log
from runtimes.shared.descriptors import readable
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.log_place import log_path
from runtimes.shared.stopping import Stopping

LAST_WORDS = 10.0
"""Seconds that the monitor of a container that has ended gets to end by itself."""

_START_CODES = (
    (re.compile(r"(?i)executable file .*not found|no such file or directory"), 127),
    (re.compile(r"(?i)permission denied"), 126),
)
"""The exit codes that shells have for a program that cannot be run, by the OCI runtime's words."""


class ContainerLife:
    """Starts, stops and buries containers."""

    def __init__(
        self,
        records: Records,
        locks: Locks,
        monitors: Monitors,
        ends: Ends,
        runtime_of: RuntimeOf,
        settle: Callable[[str], Awaitable[None]],
    ) -> None:
        """``settle`` is called with the id of a container once all its mounts are made."""
        self._records = records
        self._locks = locks
        self._monitors = monitors
        self._ends = ends
        self._runtime_of = runtime_of
        self._settle = settle
        self._killing = Killing(records, ends, runtime_of)
        self._stopping = Stopping(self._killing)
        self._starting: InFlight[None] = InFlight()
        self.on_start: Callable[[str], None] = lambda container_id: None
        """Called with the id of a container that was started, or could not be."""

    async def start(self, container_id: str) -> None:
        """Raises FailedPrecondition unless it is created, and for a command that cannot be run; then it has ended, with
        the reason StartError."""
        # A start that nobody waits for any more is finished all the same.
        await self._starting.run(container_id, b"", lambda: uninterrupted(self._start(container_id)))

    async def _start(self, container_id: str) -> None:
        async with self._locks.hold("container", container_id):
            record = await self._through(container_id)
            if record is None or not self._records.containers.update(
                container_id, [Phase.CREATED], phase=Phase.STARTING
            ):
                word = "gone" if record is None else "one whose start failed" if _failed(record) else str(record.phase)
                raise FailedPrecondition(f"container {container_id} is {word}, not created")
            try:
                monitor_log.prepare(record.request)
                started = await self._monitors.launch(self._runtime_of(record), _wish(record))
                self._note_process(record, started)
                await self._settle(container_id)
                await self._runtime_of(record).start(container_id)
            except (CRIError, StartRefused) as error:
                await self._fail(record, error.message if isinstance(error, CRIError) else str(error))
                raise FailedPrecondition(f"container {container_id} cannot start: {error}") from error
            except BaseException as error:
                await self._fail(record, str(error))
                raise
            changes = {"phase": Phase.RUNNING, "started_ns": time.time_ns()}
            self._records.containers.update(container_id, [Phase.STARTING], **changes)
        self._watch(container_id)

    async def stop(self, container_id: str, timeout: float) -> None:
        """See ``Stopping.stop``. One that does not run, or is gone, is fine."""
        record = await self._started(container_id)
        if record is not None and record.phase is Phase.RUNNING:
            await self._stopping.stop(record.id, record.stop_signal, timeout)

    async def kill(self, container_id: str) -> None:
        """SIGKILL, and return once it has ended. One that is not running, or gone, is fine."""
        await self._started(container_id)
        await self._killing.kill(container_id)
        self._stopping.forget(container_id)

    async def bury(self, record: ContainerRecord) -> None:
        """Take away what the OCI runtime and the monitor have of a container; a process of it that lives on is
        killed. Its lock is held. Nothing there is fine."""
        await self._runtime_of(record).delete(record.id)
        monitor = record.monitor_pid or self._monitors.pids(record.id).monitor_pid
        await self._part(record.id, monitor)
        self._monitors.exit_file(record.id).unlink(missing_ok=True)

    async def adopt(self, record: ContainerRecord) -> None:
        """Put right what a dead process left half started. Its lock is held.

        A container starts at most once. One whose process may have been let go goes on, or has ended; any other is as
        if nobody had tried.
        """
        if not record.started_ns:
            await self._monitors.take_back(record.id)
            # It may not have begun, and would delete what is made under the same id next.
            await stragglers.see_out(partial(stragglers.told, record.id, "delete"))
            await self.bury(record)
            self._records.containers.update(record.id, [Phase.STARTING], phase=Phase.CREATED)
            return
        await stragglers.see_out(partial(stragglers.told, record.id, "start"))
        if await self._runtime_of(record).state(record.id) == "created":
            # It may be about to run, and what it waits at cannot be looked at without setting it off.
            await self._fail(record, "the engine was killed while it started the container")
            return
        self._records.containers.update(record.id, [Phase.STARTING], phase=Phase.RUNNING)
        self._watch(record.id)

    async def reopen_log(self, record: ContainerRecord) -> None:
        """Go on in a fresh log file. Raises FailedPrecondition unless it runs."""
        if record.phase is not Phase.RUNNING:
            raise FailedPrecondition(
                f"container {record.id} is {record.phase}: only the log of a running one is opened again"
            )
        await monitor_log.reopen(record.id, record.request, record.monitor_pid, self._monitors.control(record.id))

    async def _started(self, container_id: str) -> ContainerRecord | None:
        """The record, once whoever starts the container is through."""
        record = self._records.containers.get(container_id)
        if record is not None and record.phase is Phase.STARTING:
            async with self._locks.hold("container", container_id):
                record = await self._through(container_id)
        return record

    async def _through(self, container_id: str) -> ContainerRecord | None:
        """The record, with what a dead process left half started put right. The lock is held."""
        record = self._records.containers.get(container_id)
        if record is not None and record.phase is Phase.STARTING:
            await self.adopt(record)
            record = self._records.containers.get(container_id)
        return record

    def _note_process(self, record: ContainerRecord, started: Started) -> None:
        """From here on the start is not undone, see ``adopt``: what it takes may be used up, and the process let go."""
        try:
            cgroup = cgroups.of_process(started.pid).only(record.id)
        except (FileNotFoundError, ProcessLookupError):
            cgroup = cgroup_tree.from_text("")
        changes = {
            "pid": started.pid,
            "monitor_pid": started.monitor_pid,
            "cgroup": cgroup_tree.to_text(cgroup),
            "started_ns": time.time_ns(),
        }
        self._records.containers.update(record.id, [Phase.STARTING], **changes)

    async def _fail(self, record: ContainerRecord, why: str) -> None:
        """The container has ended before it began."""
        await self.bury(record)
        code = next((code for words, code in _START_CODES if words.search(why)), container_status.START_FAILED)
        changes = {
            "phase": Phase.EXITED,
            "started_ns": 0,
            "exit_code": code,
            "reason": "StartError",
            "message": why,
            "finished_ns": time.time_ns(),
        }
        self._records.containers.update(record.id, [Phase.STARTING], **changes)
        self.on_start(record.id)

    def _watch(self, container_id: str) -> None:
        self.on_start(container_id)
        record = self._records.containers.get(container_id)
        if record is not None:
            self._ends.watch(record)

    async def _part(self, container_id: str, monitor: int) -> None:
        """Wait for the monitor's end; it has written all that it had to when it ends by itself."""
        if not monitor or not is_monitor(monitor, container_id):
            return
        try:
            handle = os.pidfd_open(monitor)
        except ProcessLookupError:
            return
        try:
            async with asyncio.timeout(LAST_WORDS):
                await readable(handle)
        except TimeoutError:
            await self._monitors.kill(container_id)
        finally:
            os.close(handle)


def _failed(record: ContainerRecord) -> bool:
    return record.reason == "StartError"


def _wish(record: ContainerRecord) -> Wish:
    config = record.config
    return Wish(record.id, log_path(record.request), config.tty, config.stdin, config.stdin_once)
