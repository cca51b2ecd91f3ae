"""The log files of all containers: a pump each, from its container's start to the end of its output."""

from __future__ import annotations

import asyncio
from typing import Any

from cri.errors import NotFound
from cri.v1 import api_pb2 as v1
from runtimes.docker import container_status
from runtimes.docker.engine import Engine
from runtimes.docker.log_pump import LogPump
from runtimes.shared import labels, log_resume
from runtimes.shared.event_watch import EventWatch
from runtimes.shared.records import Records

CATCHING_UP = 8
"""How many logs of containers that ended while nobody looked are completed at once."""


class Logs:
    """Owns the pumps. A container without log path has none, nor has one whose log is complete."""

    def __init__(self, engine: Engine, records: Records, watch: EventWatch) -> None:
        self._engine = engine
        self._records = records
        self._watch = watch
        self._pumps: dict[str, LogPump] = {}
        self._catching_up = asyncio.Semaphore(CATCHING_UP)

    async def resume(self) -> None:
        """Go on with the logs of all containers that a runtime before this one started."""
        listed = await self._engine.call(
            self._engine.client.containers, all=True, filters={"label": [f"{labels.KIND}={labels.CONTAINER}"]}
        )
        await asyncio.gather(*(self._resume(found) for found in listed))

    async def _resume(self, listed: dict[str, Any]) -> None:
        record = self._records.containers.get(listed)
        state = container_status.state(listed)
        if record is None or state == v1.CONTAINER_CREATED or listed["Id"] in self._pumps:
            return
        try:
            found = await self._engine.call(self._engine.client.inspect_container, listed["Id"])
        except NotFound:
            return
        pump = self._make(found, record)
        if pump is None:
            return
        if state == v1.CONTAINER_RUNNING:
            self._begin(listed["Id"], pump)
        elif log_resume.exists(pump.path):
            # Whoever owned the log of an ended container and removed it does not want it back.
            self._begin(listed["Id"], pump, self._catching_up)

    def prepare(self, found: dict[str, Any], record: v1.CreateContainerRequest) -> None:
        """Make the file of an inspected container that is about to start, if it has a log path. ``begin`` once it
        started, or ``forget`` it: until then, nobody is told that it ended."""
        if found["Id"] in self._pumps:
            return  # of an earlier start, which may come yet
        pump = self._make(found, record)
        if pump is not None:
            pump.open()
            self._pumps[found["Id"]] = pump

    def begin(self, container_id: str) -> None:
        """Follow the output of a prepared container that was started."""
        pump = self._pumps.get(container_id)
        if pump is not None and pump.task is None:
            self._begin(container_id, pump)

    def is_draining(self, container_id: str) -> bool:
        """Whether output of this container may be missing in its log, and is worth waiting for once it has ended."""
        pump = self._pumps.get(container_id)
        return pump is not None and not pump.is_late

    async def drained(self, container_id: str) -> None:
        """Called once the container has exited: return when its log is complete, or late beyond patience."""
        pump = self._pumps.get(container_id)
        if pump is not None:
            await pump.drained()

    def reopen(self, container_id: str) -> None:
        """See ``LogPump.reopen``. Nothing to do for a container whose log goes nowhere."""
        pump = self._pumps.get(container_id)
        if pump is not None:
            pump.reopen()

    async def forget(self, container_id: str) -> None:
        """End the pump of a container that was removed, or did not start. The file stays: it is the caller's."""
        pump = self._pumps.pop(container_id, None)
        if pump is not None:
            await pump.aclose()

    async def aclose(self) -> None:
        """End all pumps. Another runtime goes on where they ended."""
        pumps, self._pumps = list(self._pumps.values()), {}
        await asyncio.gather(*(pump.aclose() for pump in pumps))

    def _make(self, found: dict[str, Any], record: v1.CreateContainerRequest) -> LogPump | None:
        if not record.config.log_path or not record.sandbox_config.log_directory:
            return None
        driver = str(found["HostConfig"]["LogConfig"]["Type"])
        has_ended = container_status.state(found) == v1.CONTAINER_EXITED
        return LogPump(self._engine, self._watch, found["Id"], record, driver, has_ended=has_ended)

    def _begin(self, container_id: str, pump: LogPump, limit: asyncio.Semaphore | None = None) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if self._pumps.get(container_id) is pump:
                del self._pumps[container_id]
            if not task.cancelled():
                task.result()  # anything that comes out here is a bug of ours, and is to be heard of

        self._pumps[container_id] = pump
        pump.begin(limit).add_done_callback(ended)
