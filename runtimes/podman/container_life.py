"""What happens to a container that is there: start, end and removal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from cri.errors import CRIError, DeadlineExceeded, FailedPrecondition, NotFound, Unavailable
from cri.v1 import api_pb2 as v1
from runtimes.podman import container_status, read_only
from runtimes.podman.ends import Ends, noted_pid
from runtimes.podman.engine import Engine
from runtimes.podman.leftovers import REMOVING
from runtimes.podman.log_file import LogFiles
from runtimes.podman.removal import Removal
from runtimes.shared import signals
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.stopping import Stopping


class ContainerLife:
    """Works on inspected containers of ours, which ``Containers`` has found."""

    def __init__(self, engine: Engine, removal: Removal, ends: Ends) -> None:
        self._engine = engine
        self._ends = ends
        self._logs = LogFiles(engine)
        self.on_failed_start: Callable[[str], None] = lambda container_id: None
        """Called with the id of a container whose start failed, which the engine tells nobody."""
        self._removal = removal
        self._stopping = Stopping(removal)
        removal.running = ends.running
        self._starting: InFlight[None] = InFlight()

    async def start(self, found: dict[str, Any], record: v1.CreateContainerRequest) -> None:
        """Raises FailedPrecondition unless it is created, and for a command that cannot be run; then it has ended, with
        the reason StartError."""
        if container_status.state(found) != v1.CONTAINER_CREATED:
            word = "one whose start failed" if container_status.failed_to_start(found["State"]) else "not created"
            raise FailedPrecondition(f"container {found['Id']} is {found['State']['Status']}, {word}")
        # The engine finishes a start that nobody waits for any more.
        await self._starting.run(found["Id"], b"", lambda: uninterrupted(self._start(found, record)))

    async def _start(self, found: Mapping[str, Any], record: v1.CreateContainerRequest) -> None:
        self._logs.prepare(record)
        container_id = found["Id"]
        path = f"/containers/{container_id}"
        protected = read_only.wanted(record.config)
        made_first = bool(protected) or _has_limit(record)
        try:
            if made_first:
                # Made first, and started then: why it ended is known however soon it does.
                await self._engine.post(f"{path}/init")
                await self._ends.watch_new(found)
            if protected:
                await read_only.protect(container_id, await asyncio.to_thread(noted_pid, found["PidFile"]), protected)
            await self._engine.post(f"{path}/start")
            if not made_first:
                await self._watch(found)
        except (DeadlineExceeded, Unavailable):
            raise
        except CRIError as error:
            if await self._did_start(container_id):
                await self._watch(found)
                return
            self._ends.note_failed_start(found, error.message)
            self.on_failed_start(container_id)
            raise FailedPrecondition(
                f"container {container_id} cannot start: {error.message}", details=error.details
            ) from error

    async def _watch(self, found: Mapping[str, Any]) -> None:
        """From now on the end of a container that was started is not missed, nor what it left if it has ended."""
        if not await self._ends.watch_new(found) and self._engine.is_local:
            now = await self._engine.inspect("containers", found["Id"])
            if now is not None and container_status.state(now) == v1.CONTAINER_EXITED:
                await self._ends.missed(found["Id"])

    async def _did_start(self, container_id: str) -> bool:
        """Podman may stumble over a process that had ended before it looked at it, and call that a failed start. Raises
        NotFound where there is no such container any more."""
        found = await self._engine.inspect("containers", container_id)
        if found is None:
            raise NotFound(f"container {container_id} is gone", details={"container_id": container_id})
        return container_status.state(found) in (v1.CONTAINER_RUNNING, v1.CONTAINER_EXITED)

    async def stop(self, found: dict[str, Any], timeout: float) -> None:
        """See ``Stopping.stop``. One that does not run is fine."""
        if container_status.state(found) == v1.CONTAINER_RUNNING:
            signal = signals.engine_signal(found["Config"].get("StopSignal"))
            await self._stopping.stop(found["Id"], signal, timeout)

    async def stop_running(self, container_id: str) -> bool:
        """SIGKILL to a container that can be seen to run; False where only a look at the engine tells."""
        with self._ends.running(container_id) as process:
            if process is None:
                return False
        await self._stopping.stop(container_id, "", 0)
        return True

    async def remove(self, found: Mapping[str, Any]) -> None:
        """Kill and remove."""
        await self._removal.remove_found(found)
        self._forget(found["Id"])

    async def remove_ended(self, container_id: str) -> bool:
        """Remove one that was seen to end; False for any other."""
        if not self._ends.has_ended(container_id):
            return False
        await self._removal.remove_ended(container_id)
        self._forget(container_id)
        return True

    def _forget(self, container_id: str) -> None:
        self._stopping.forget(container_id)
        self._ends.forget(container_id)

    def seems_vanished(self, found: Mapping[str, Any]) -> bool:
        """See ``Ends.seems_vanished``."""
        return self._ends.seems_vanished(found)

    def complete(self, found: dict[str, Any]) -> None:
        """See ``Ends.complete``; from now on the end of one that runs is not missed."""
        self._ends.complete(found)
        self._ends.watch(found)

    def is_in_doubt(self, listed: Mapping[str, Any]) -> bool:
        """Whether only a look at a listed container tells its state."""
        if listed["State"] == REMOVING or container_status.state(listed) == v1.CONTAINER_CREATED:
            return True
        return self._ends.is_in_doubt(listed.get("Pid") or 0)

    async def reopen_log(self, found: dict[str, Any], record: v1.CreateContainerRequest) -> None:
        """Go on in a fresh log file. Raises FailedPrecondition unless it runs."""
        if container_status.state(found) != v1.CONTAINER_RUNNING:
            raise FailedPrecondition(
                f"container {found['Id']} is {found['State']['Status']}: only the log of a running one is opened again"
            )
        await self._logs.reopen(found, record)


def _has_limit(record: v1.CreateContainerRequest) -> bool:
    """Whether there may be less memory for a container than the host has."""
    sandbox = record.sandbox_config.linux
    limits = (record.config.linux.resources, sandbox.resources)
    return bool(sandbox.cgroup_parent) or any(each.memory_limit_in_bytes for each in limits)
