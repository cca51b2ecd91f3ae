"""Sandboxes: what the containers of a pod share, held without a process where nothing needs one."""

from __future__ import annotations

import builtins
import logging
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from cri import filters, validation
from cri.errors import Aborted, AlreadyExists, CRIError, FailedPrecondition, InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.native import sandbox_status
from runtimes.native.ends import Ends
from runtimes.native.locks import Locks
from runtimes.native.oci_runtime import OciRuntime
from runtimes.native.records import Phase, Records, SandboxRecord
from runtimes.native.sandbox_parts import SandboxParts
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.names import sandbox_name

Told = Callable[[str], None]

_log = logging.getLogger(__name__)


class Sandboxes:
    """RunPodSandbox to RemovePodSandbox."""

    def __init__(
        self, records: Records, locks: Locks, parts: SandboxParts, ends: Ends, runtimes: dict[str, OciRuntime]
    ) -> None:
        self._records = records
        self._locks = locks
        self._parts = parts
        self._ends = ends
        self._runtimes = runtimes
        self._running: InFlight[str] = InFlight()
        self.end_members: Callable[[str], Awaitable[None]]
        """Kills all containers of a sandbox; ``remove_members`` removes them. Set by who owns them."""
        self.remove_members: Callable[[str], Awaitable[None]]
        self.on_change: Told = lambda sandbox_id: None
        """Called with the id of a sandbox that was made, stopped or removed."""

    async def run(self, request: v1.RunPodSandboxRequest) -> str:
        """Make a sandbox; its id. Raises AlreadyExists naming the sandbox that has this metadata."""
        validation.sandbox_config(request.config)
        await self.runtime(request.runtime_handler).judge()
        name = sandbox_name(request.config.metadata)
        wanted = request.SerializeToString(deterministic=True)
        return await self._running.run(name, wanted, lambda: self._run(name, request))

    async def _run(self, name: str, request: v1.RunPodSandboxRequest) -> str:
        sandbox_id = secrets.token_hex(32)
        record = SandboxRecord(
            sandbox_id,
            name,
            Phase.MAKING,
            time.time_ns(),
            request,
            cgroup=self._parts.cgroup(sandbox_id, request.config),
        )
        async with self._locks.hold("sandbox", sandbox_id), AsyncExitStack() as undo:
            await self._enter(record)
            undo.push_async_callback(lambda: uninterrupted(self._discard(record)))
            made = await uninterrupted(self._parts.make(record, self.runtime(request.runtime_handler)))
            changes = {"phase": Phase.READY, "addresses": made.addresses, "init_pid": made.init_pid}
            self._records.sandboxes.update(sandbox_id, [Phase.MAKING], **changes)
            undo.pop_all()
        ready = self._records.sandboxes.get(sandbox_id)
        if ready is not None:
            self._ends.watch_init(ready)
        self.on_change(sandbox_id)
        return sandbox_id

    async def stop(self, sandbox_id: str) -> None:
        """CRI: kills the members, then gives the network back; an unknown id succeeds."""
        if self._find(sandbox_id) is None:
            return
        await self.end_members(sandbox_id)
        await uninterrupted(self._stop(sandbox_id))

    async def _stop(self, sandbox_id: str) -> None:
        async with self._locks.hold("sandbox", sandbox_id):
            record = self._find(sandbox_id)
            if record is None:
                return
            self._ends.forget(sandbox_id)
            changes = {"phase": Phase.STOPPING, "finished_ns": time.time_ns()}
            stopped = self._records.sandboxes.update(sandbox_id, [Phase.READY], **changes)
            await self._unplug(record)
        if stopped:
            self.on_change(sandbox_id)

    async def _unplug(self, record: SandboxRecord) -> None:
        """Take away what a stopped sandbox has no more. Its lock is held."""
        await self._parts.unplug(record, self.runtime(record.request.runtime_handler))
        self._records.sandboxes.update(record.id, [Phase.STOPPING], phase=Phase.STOPPED)

    async def remove(self, sandbox_id: str) -> None:
        """CRI: removes the members too; an unknown id succeeds."""
        if self._find(sandbox_id) is None:
            return
        await self.remove_members(sandbox_id)
        while not await uninterrupted(self._remove(sandbox_id)):
            await self.remove_members(sandbox_id)

    async def _remove(self, sandbox_id: str) -> bool:
        """False when a container came into it meanwhile. None does any more after that."""
        async with self._locks.hold("sandbox", sandbox_id):
            record = self._find(sandbox_id)
            if record is None:
                return True
            # First this and then the look, as who makes a container writes it down and looks at the sandbox then.
            self._records.sandboxes.update(sandbox_id, list(Phase), phase=Phase.REMOVING)
            if self._records.members(sandbox_id):
                return False
            await self._discard(record)
        self.on_change(sandbox_id)
        return True

    async def _discard(self, record: SandboxRecord) -> None:
        """Take away whatever there is of it. Its lock is held."""
        self._ends.forget(record.id)
        self._records.sandboxes.update(record.id, list(Phase), phase=Phase.REMOVING)
        await self._parts.unmake(record, self.runtime(record.request.runtime_handler))
        self._records.sandboxes.delete(record.id)

    async def update(self, request: v1.UpdatePodSandboxResourcesRequest) -> None:
        """Change a sandbox's own limits. Raises NotFound, FailedPrecondition."""
        record = self.ready(request.pod_sandbox_id)
        await self._parts.limit(record, request.resources, request.overhead)
        self._records.sandboxes.update(record.id, [Phase.READY], resources=request)

    async def status(self, sandbox_id: str) -> tuple[v1.PodSandboxStatus, SandboxRecord]:
        """Raises NotFound."""
        record = self._require(sandbox_id)
        return sandbox_status.status(record), record

    async def list(self, wanted: v1.PodSandboxFilter) -> builtins.list[v1.PodSandbox]:
        """What matches the filter, newest first. Sandboxes that are still being made are not there yet."""
        records = map(self._settled, self._records.sandboxes.all())
        items = [sandbox_status.item(record) for record in records if record.phase is not Phase.MAKING]
        return filters.sandboxes(items, wanted)

    def ready(self, sandbox_id: str) -> SandboxRecord:
        """A READY sandbox. Raises NotFound, FailedPrecondition when it is not ready."""
        record = self._require(sandbox_id)
        if record.phase is not Phase.READY:
            raise FailedPrecondition(f"sandbox {sandbox_id} is not ready; make a new one")
        return record

    async def recover(self) -> None:
        """Take away what dead processes left half made, stopped or removed. What cannot be taken away now, as a
        network's plug-in fails, say, stays for the next time, or until somebody removes it: the others are of use
        without it."""
        for record in self._records.sandboxes.all():
            if record.phase in (Phase.MAKING, Phase.STOPPING, Phase.REMOVING):
                with self._locks.try_hold("sandbox", record.id) as ours:
                    current = self._records.sandboxes.get(record.id) if ours else None
                    try:
                        await self._finish(current)
                    except CRIError as error:
                        _log.warning("sandbox %s, half %s, stays: %s", record.id, record.phase, error.message)

    async def _finish(self, record: SandboxRecord | None) -> None:
        if record is None:
            return
        if record.phase is Phase.STOPPING:
            await self._unplug(record)
        elif record.phase in (Phase.MAKING, Phase.REMOVING) and not self._records.members(record.id):
            await self._discard(record)

    def runtime(self, handler: str) -> OciRuntime:
        """For a CRI runtime_handler; empty is the default. Raises InvalidArgument."""
        if handler not in self._runtimes:
            known = ", ".join(sorted(filter(None, self._runtimes)))
            raise InvalidArgument(f"runtime_handler: this host has no OCI runtime {handler!r}; it has {known}")
        return self._runtimes[handler]

    async def _enter(self, record: SandboxRecord) -> None:
        """Write the record down. Raises AlreadyExists for a sandbox that stands, Aborted for one that another process
        makes right now; what a dead one left makes way."""
        while True:
            try:
                self._records.sandboxes.insert(record)
            except sqlite3.IntegrityError:
                found = self._records.sandboxes.named(record.name)
            else:
                return
            if found is None:
                continue  # it went between the two looks
            if found.phase not in (Phase.MAKING, Phase.REMOVING):
                word = "ready" if found.phase is Phase.READY else "not ready"
                raise AlreadyExists(
                    f"sandbox {found.id} has this metadata already and is {word}; remove it or raise metadata.attempt",
                    details={"pod_sandbox_id": found.id},
                )
            with self._locks.try_hold("sandbox", found.id) as ours:
                if not ours:
                    raise Aborted(f"{record.name} is being made or removed by another process right now; try again")
                await self.remove_members(found.id)
                await self._discard(found)

    def _settled(self, record: SandboxRecord) -> SandboxRecord:
        """The record as it is now: its init may have ended unseen."""
        if record.phase is Phase.READY and self._ends.settle_sandbox(record):
            return self._records.sandboxes.get(record.id) or record
        return record

    def _require(self, sandbox_id: str) -> SandboxRecord:
        record = self._find(sandbox_id)
        if record is None:
            raise NotFound(f"no sandbox has the id {sandbox_id!r}", details={"pod_sandbox_id": sandbox_id})
        return self._settled(record)

    def _find(self, sandbox_id: str) -> SandboxRecord | None:
        """None for an id that nothing has, or only something that is still being made."""
        record = self._records.sandboxes.get(validation.require("pod_sandbox_id", sandbox_id))
        return record if record is not None and record.phase is not Phase.MAKING else None
