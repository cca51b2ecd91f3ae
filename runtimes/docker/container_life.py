"""What happens to a container that is there: start, end and removal, with its log and its events in step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cri.errors import CRIError, DeadlineExceeded, FailedPrecondition, InvalidArgument, Unavailable
from cri.v1 import api_pb2 as v1
from runtimes.docker import container_status
from runtimes.docker.engine import Engine
from runtimes.docker.engine_errors import sandbox_is_lost
from runtimes.docker.logs import Logs
from runtimes.docker.removal import Removal
from runtimes.shared.container_events import ContainerEvents
from runtimes.shared.event_watch import EventWatch
from runtimes.shared.stopping import Stopping


class ContainerLife:
    """Works on inspected containers of ours, which ``Containers`` has found."""

    def __init__(
        self, engine: Engine, removal: Removal, logs: Logs, events: ContainerEvents, watch: EventWatch
    ) -> None:
        self._engine = engine
        self._removal = removal
        self._logs = logs
        self._events = events
        self._watch = watch
        self._stopping = Stopping(removal)

    async def start(self, found: dict[str, Any], record: v1.CreateContainerRequest) -> None:
        """Start it, with its log open before it can print. Raises FailedPrecondition unless it is created, and for
        a command that cannot be run; then it has ended, with the reason StartError."""
        if container_status.state(found) != v1.CONTAINER_CREATED:
            word = "one whose start failed" if container_status.failed_to_start(found["State"]) else "not created"
            raise FailedPrecondition(f"container {found['Id']} is {found['State']['Status']}, {word}")
        self._logs.prepare(found, record)
        try:
            await self._engine.call(self._engine.client.start, found["Id"])
        except CRIError as error:
            if isinstance(error, DeadlineExceeded | Unavailable):
                self._logs.begin(found["Id"])  # it may have started, or start yet
                raise
            await self._logs.forget(found["Id"])
            self._events.look_again(found["Id"])
            await self._removal.end_forgotten(found["Id"])  # an earlier start, which is in the way of this one
            if sandbox_is_lost(error):
                await self._removal.kill(record.pod_sandbox_id)
                raise FailedPrecondition(
                    f"sandbox {record.pod_sandbox_id} takes no container any more and was stopped; make a new one: "
                    f"{error.message}"
                ) from error
            if not isinstance(error, InvalidArgument):
                raise
            # Docker calls a command that cannot be run a bad request; the request was to start, and that was fine.
            raise FailedPrecondition(
                f"container {found['Id']} cannot start: {error.message}", details=error.details
            ) from error
        self._logs.begin(found["Id"])

    async def stop(self, found: dict[str, Any], timeout: float) -> None:
        """See ``Stopping.stop``; its log is complete afterwards. One that does not run is fine."""
        state = container_status.state(found)
        if state == v1.CONTAINER_CREATED:
            return  # it may be starting at this moment, and would run on
        if state == v1.CONTAINER_RUNNING:
            await self._stopping.stop(found["Id"], found["Config"].get("StopSignal") or "", timeout)
        await self._logs.drained(found["Id"])

    async def remove(self, found: Mapping[str, Any]) -> None:
        """Kill and remove."""
        if found["State"]["Status"] == "created":
            await self._removal.end_forgotten(found["Id"])
        await self._removal.remove(found["Id"])
        self._stopping.forget(found["Id"])

    async def discard(self, container_id: str) -> None:
        """Remove one that nobody has heard of yet."""
        await self._removal.remove(container_id)

    async def settled(self, container_id: str) -> None:
        """Called of one that was seen to have ended: return when that may be told, its log being complete."""
        await self._logs.drained(container_id)

    def reopen_log(self, found: dict[str, Any]) -> None:
        """Go on in a fresh log file. Raises FailedPrecondition unless it runs."""
        if container_status.state(found) != v1.CONTAINER_RUNNING:
            raise FailedPrecondition(
                f"container {found['Id']} is {found['State']['Status']}: only the log of a running one is opened again"
            )
        self._logs.reopen(found["Id"])

    def end_was_seen(self, time_ns: int) -> bool:
        """See ``EventWatch.listened_at``."""
        return self._watch.listened_at(time_ns)
