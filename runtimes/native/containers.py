"""Containers in a sandbox, from create to remove."""

from __future__ import annotations

import asyncio
import builtins
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from cri import filters, validation
from cri.errors import Aborted, AlreadyExists, CRIError, FailedPrecondition, InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.native import cgroup_tree, container_status
from runtimes.native.container_life import ContainerLife
from runtimes.native.container_parts import ContainerParts
from runtimes.native.ends import Ends
from runtimes.native.locks import Locks
from runtimes.native.oci import resources
from runtimes.native.oci.facts import HostFacts
from runtimes.native.records import ContainerRecord, Phase, Records, SandboxRecord
from runtimes.native.sandbox_parts import SandboxParts
from runtimes.native.sandboxes import Sandboxes
from runtimes.shared import cgroup_limits
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.names import container_name

Told = Callable[[str], None]

_log = logging.getLogger(__name__)


class Containers:
    """CreateContainer to RemoveContainer."""

    def __init__(
        self,
        records: Records,
        locks: Locks,
        parts: ContainerParts,
        sandbox_parts: SandboxParts,
        sandboxes: Sandboxes,
        life: ContainerLife,
        ends: Ends,
        host: HostFacts,
    ) -> None:
        self._records = records
        self._locks = locks
        self._parts = parts
        self._sandbox_parts = sandbox_parts
        self._sandboxes = sandboxes
        self._life = life
        self._ends = ends
        self._host = host
        self._creating: InFlight[str] = InFlight()
        self.on_change: Told = lambda container_id: None
        """Called with the id of a container that was made or removed."""

    async def create(self, request: v1.CreateContainerRequest) -> str:
        """Create in a ready sandbox; the container's id."""
        validation.require("pod_sandbox_id", request.pod_sandbox_id)
        validation.container_config(request.config)
        sandbox = self._sandboxes.ready(request.pod_sandbox_id)
        name = container_name(request.config.metadata, sandbox.config.metadata, sandbox.id)
        wanted = request.SerializeToString(deterministic=True)
        return await self._creating.run(name, wanted, lambda: self._create(name, request.config, sandbox))

    async def _create(self, name: str, config: v1.ContainerConfig, sandbox: SandboxRecord) -> str:
        target_pid = self._target(config, sandbox)
        image = self._parts.image(config, sandbox.config)
        config = _copy(config)
        self._parts.name_images(config)
        container_id = secrets.token_hex(32)
        record = ContainerRecord(
            container_id,
            name,
            sandbox.id,
            Phase.MAKING,
            time.time_ns(),
            _kept(config, sandbox),
            image_id=image.id,
            resources=config.linux.resources.SerializeToString(),
        )
        async with self._locks.hold("container", container_id), AsyncExitStack() as undo:
            await self._enter(record)
            undo.push_async_callback(lambda: uninterrupted(self._discard(container_id)))
            self._sandboxes.ready(sandbox.id)
            facts = self._sandbox_parts.facts(sandbox)
            runtime = self._sandboxes.runtime(sandbox.request.runtime_handler)
            making = self._parts.make(record, config, image, facts, runtime, target_pid=target_pid)
            made = await uninterrupted(making)
            changes = {"phase": Phase.CREATED, "user": made.user, "stop_signal": made.stop_signal}
            self._records.containers.update(container_id, [Phase.MAKING], **changes)
            undo.pop_all()
        self.on_change(container_id)
        return container_id

    def _target(self, config: v1.ContainerConfig, sandbox: SandboxRecord) -> int:
        """The process whose pid namespace is joined, 0 for none. CRI: it is of the same sandbox."""
        options = config.linux.security_context.namespace_options
        if options.pid != v1.TARGET:
            return 0
        found = self._require(options.target_id)
        where = "config.linux.security_context.namespace_options.target_id"
        if found.sandbox_id != sandbox.id:
            raise InvalidArgument(f"{where}: container {found.id} is in another sandbox, {found.sandbox_id}")
        if found.phase is not Phase.RUNNING:
            raise FailedPrecondition(f"{where}: container {found.id} is {found.phase}, not running")
        return found.pid

    async def start(self, container_id: str) -> None:
        """Start a created container. Raises NotFound, FailedPrecondition."""
        record = self._require(container_id)
        self._sandboxes.ready(record.sandbox_id)
        await self._life.start(container_id)

    async def stop(self, container_id: str, timeout: float) -> None:
        """Stop signal, then SIGKILL after ``timeout`` seconds; an unknown id succeeds."""
        if self._find(container_id) is not None:
            await self._life.stop(container_id, timeout)

    async def update(self, container_id: str, limits: v1.LinuxContainerResources) -> None:
        """Change limits of a container that has not ended. Raises NotFound, FailedPrecondition."""
        validation.resources("linux", limits)
        record = self._require(container_id)
        if container_status.state(record) not in (v1.CONTAINER_CREATED, v1.CONTAINER_RUNNING):
            raise FailedPrecondition(f"container {container_id} has ended; its limits cannot change any more")
        changed = resources.update(limits, self._host)
        async with self._locks.hold("container", container_id):
            record = self._require(container_id)
            if changed and record.phase is Phase.RUNNING:
                await self._sandboxes.runtime(self._handler(record)).update(container_id, changed)
            elif changed:
                await asyncio.to_thread(self._parts.change_limits, container_id, changed)
            merged = v1.LinuxContainerResources.FromString(record.resources)
            if limits.hugepage_limits:
                merged.ClearField("hugepage_limits")
            merged.MergeFrom(limits)
            self._records.containers.update(container_id, list(Phase), resources=merged)

    async def remove(self, container_id: str) -> None:
        """Kill and remove; an unknown id succeeds."""
        if self._find(container_id) is not None:
            await uninterrupted(self._remove(container_id))

    async def _remove(self, container_id: str) -> None:
        await self._life.kill(container_id)
        async with self._locks.hold("container", container_id):
            if self._records.containers.get(container_id) is None:
                return
            await self._discard(container_id)
        self.on_change(container_id)

    async def _discard(self, container_id: str) -> None:
        """Take away whatever there is of it. Its lock is held."""
        record = self._records.containers.get(container_id)
        if record is None:
            return
        self._records.containers.update(container_id, list(Phase), phase=Phase.REMOVING)
        await self._life.bury(record)
        await self._parts.unmake(container_id)
        self._ends.forget(container_id)
        self._records.containers.delete(container_id)

    async def status(self, container_id: str) -> tuple[v1.ContainerStatus, dict[str, Any]]:
        """The status, and the record under ``State`` as ``live_container`` wants it. Raises NotFound."""
        record = self._require(container_id)
        answer = container_status.status(record)
        if answer.state == v1.CONTAINER_RUNNING:
            # Six small files of the kernel's: a thread would take longer than they do, and each event asks.
            answer.resources.linux.CopyFrom(_limits_now(record, answer.resources.linux))
        return answer, {"State": {"Status": str(record.phase), "Pid": record.pid}, "record": record}

    def running(self, container_id: str) -> ContainerRecord:
        """A container that runs. Raises NotFound, FailedPrecondition, InvalidArgument."""
        record = self._require(container_id)
        if record.phase is not Phase.RUNNING:
            raise FailedPrecondition(f"container {container_id} is {record.phase}, not running")
        return record

    async def list(self, wanted: v1.ContainerFilter) -> builtins.list[v1.Container]:
        """What matches the filter, newest first."""
        records = map(self._settled, self._records.containers.all())
        items = [container_status.item(record) for record in records if record.phase is not Phase.MAKING]
        return filters.containers(items, wanted)

    async def reopen_log(self, container_id: str) -> None:
        """Write on to a fresh log file. Raises NotFound, FailedPrecondition unless it runs."""
        await self._life.reopen_log(self._require(container_id))

    async def end_all(self, sandbox_id: str) -> None:
        """Kill the containers of a sandbox. The first failure is raised after every kill was tried."""
        await _all(*(self._life.kill(record.id) for record in self._records.members(sandbox_id)))

    async def remove_all(self, sandbox_id: str) -> None:
        """Remove the containers of a sandbox, half-made ones included, as ``end_all``."""
        await _all(*(uninterrupted(self._remove(record.id)) for record in self._records.members(sandbox_id)))

    async def recover(self) -> None:
        """Take away what dead processes left half made or half removed; put right what they left half started. What
        cannot be done now stays for the next time: the others are of use without it."""
        for record in self._records.containers.all():
            if record.phase in (Phase.MAKING, Phase.REMOVING, Phase.STARTING):
                with self._locks.try_hold("container", record.id) as ours:
                    current = self._records.containers.get(record.id) if ours else None
                    try:
                        await self._put_right(current)
                    except CRIError as error:
                        _log.warning("container %s cannot be put right: %s", record.id, error.message)

    async def _put_right(self, record: ContainerRecord | None) -> None:
        if record is not None and record.phase in (Phase.MAKING, Phase.REMOVING):
            await self._discard(record.id)
        elif record is not None and record.phase is Phase.STARTING:
            await self._life.adopt(record)

    async def _enter(self, record: ContainerRecord) -> None:
        """Write the record down. Raises AlreadyExists for a container that stands, Aborted for one that another process
        makes right now; what a dead one left makes way."""
        while True:
            try:
                self._records.containers.insert(record)
            except sqlite3.IntegrityError:
                found = self._records.containers.named(record.name)
            else:
                return
            if found is None:
                self._sandboxes.ready(record.sandbox_id)
                continue  # it went between the two looks
            if found.phase not in (Phase.MAKING, Phase.REMOVING):
                raise AlreadyExists(f"sandbox {record.sandbox_id} has a container {record.name} already: {found.id}")
            with self._locks.try_hold("container", found.id) as ours:
                if not ours:
                    raise Aborted(f"{record.name} is being made or removed by another process right now; try again")
                await self._discard(found.id)

    def _handler(self, record: ContainerRecord) -> str:
        sandbox = self._records.sandboxes.get(record.sandbox_id)
        return sandbox.request.runtime_handler if sandbox is not None else ""

    def _settled(self, record: ContainerRecord) -> ContainerRecord:
        """The record as it is now: an end may not have been noted yet."""
        if record.phase is Phase.RUNNING and self._ends.settle(record):
            return self._records.containers.get(record.id) or record
        return record

    def _require(self, container_id: str) -> ContainerRecord:
        record = self._find(container_id)
        if record is None:
            raise NotFound(f"no container has the id {container_id!r}", details={"container_id": container_id})
        return record

    def _find(self, container_id: str) -> ContainerRecord | None:
        """None for an id that nothing has, or only something that is still being made."""
        record = self._records.containers.get(validation.require("container_id", container_id))
        return self._settled(record) if record is not None and record.phase is not Phase.MAKING else None


def _copy(config: v1.ContainerConfig) -> v1.ContainerConfig:
    copied = v1.ContainerConfig()
    copied.CopyFrom(config)
    return copied


def _kept(config: v1.ContainerConfig, sandbox: SandboxRecord) -> v1.CreateContainerRequest:
    """What a record keeps of a request. Values of environment variables stay out of what outlives the container."""
    kept = v1.CreateContainerRequest(pod_sandbox_id=sandbox.id, config=config)
    kept.config.ClearField("envs")
    kept.sandbox_config.log_directory = sandbox.config.log_directory
    kept.sandbox_config.metadata.CopyFrom(sandbox.config.metadata)
    return kept


def _limits_now(record: ContainerRecord, said: v1.LinuxContainerResources) -> v1.LinuxContainerResources:
    try:
        return cgroup_limits.limits_now(cgroup_tree.from_text(record.cgroup), said)
    except OSError:  # it has ended meanwhile
        return said


async def _all(*work: Any) -> None:
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
