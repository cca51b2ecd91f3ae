"""What happens to sandboxes and containers, as their events need it: our own words, and a look at the records."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from builtins import list as list_  # the method of that name hides it inside the class
from collections.abc import Sequence
from pathlib import Path

from cri.errors import CRIError, NotFound
from cri.logs.inotify import Watch
from cri.streaming.transport import cancel
from runtimes.native import container_status, sandbox_status
from runtimes.native.containers import Containers
from runtimes.native.database import Database
from runtimes.native.ends import Ends
from runtimes.native.records import ContainerRecord, Phase, Records, SandboxRecord
from runtimes.native.sandboxes import Sandboxes
from runtimes.shared.container_events import ContainerEvents, Told
from runtimes.shared.life import Life, Look
from runtimes.shared.lifecycle import Phase as Reached

_REACHED = {
    Phase.MAKING: Reached.ABSENT,
    Phase.CREATED: Reached.CREATED,
    Phase.STARTING: Reached.CREATED,
    Phase.READY: Reached.RUNNING,
    Phase.RUNNING: Reached.RUNNING,
    Phase.STOPPING: Reached.EXITED,
    Phase.STOPPED: Reached.EXITED,
    Phase.EXITED: Reached.EXITED,
}

AFTERWARDS = 0.5
"""Seconds after a sign of a change until a second look: the state file is written a moment before the commit counts,
and whoever commits may be held up in between."""

_log = logging.getLogger(__name__)


class EventSource:
    """See ``container_events.Source``."""

    def __init__(self, records: Records, containers: Containers, sandboxes: Sandboxes) -> None:
        self._records = records
        self._containers = containers
        self._sandboxes = sandboxes

    async def list(self) -> Sequence[Told]:
        everything: list_[SandboxRecord | ContainerRecord] = [
            *self._records.sandboxes.all(),
            *self._records.containers.all(),
        ]
        return [_told(record) for record in everything if record.phase is not Phase.MAKING]

    async def look(self, life: Life) -> Look | None:
        try:
            if life.is_sandbox:
                status, sandbox = await self._sandboxes.status(life.container_id)
                return Look(reached(sandbox), status, sandbox.created_ns, sandbox.finished_ns)
            found, details = await self._containers.status(life.container_id)
        except NotFound:
            return None
        container: ContainerRecord = details["record"]
        return Look(reached(container), found, container.started_ns, container.finished_ns)

    def is_draining(self, container_id: str) -> bool:
        """Never: the monitor has written all before it tells of the end."""
        return False

    async def drained(self, container_id: str) -> None:
        return

    def told(self, record_id: str) -> Told:
        """What the records say of something that changed."""
        record = self._records.sandboxes.get(record_id) or self._records.containers.get(record_id)
        return _told(record) if record is not None else Told(record_id, Reached.DELETED, None)


class Changes:
    """Tells of what other processes do to the same state. Watches from ``start`` to ``aclose``."""

    def __init__(self, database: Database, directory: Path, ends: Ends, events: ContainerEvents) -> None:
        self._database = database
        self._directory = directory
        self._ends = ends
        self._events = events
        self._known = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on nothing is missed: what is taken in before is to be looked at after this."""
        self._known = self._database.version()
        self._task = asyncio.create_task(self._watch(), name="native-changes")

    async def aclose(self) -> None:
        """Safe to call twice."""
        if self._task is not None:
            await cancel(self._task)

    async def _watch(self) -> None:
        with Watch(self._directory) as watch:
            while True:
                self._catch_up()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(AFTERWARDS):
                        await watch.changed()
                    continue
                self._catch_up()
                await watch.changed()

    def _catch_up(self) -> None:
        # It is another one by what other connections commit, and by nothing else.
        if (now := self._database.version()) == self._known:
            return
        try:
            self._ends.catch_up()
        except (CRIError, OSError) as error:
            _log.warning("what other processes did cannot be looked at now: %s", error)
        else:
            self._known = now
            self._events.relist_soon()


def reached(record: SandboxRecord | ContainerRecord) -> Reached:
    """How far its life has come. What is being removed may never have run, which only a look tells."""
    if record.phase is Phase.REMOVING:
        return Reached.CREATED if isinstance(record, ContainerRecord) and not record.started_ns else Reached.EXITED
    return _REACHED[record.phase]


def _surely(record: SandboxRecord | ContainerRecord) -> Reached:
    """What may be told without a look: whoever never ran has ended without a beginning."""
    if isinstance(record, ContainerRecord) and not record.started_ns:
        return min(reached(record), Reached.CREATED)
    return reached(record)


def _told(record: SandboxRecord | ContainerRecord) -> Told:
    status = sandbox_status.status(record) if isinstance(record, SandboxRecord) else container_status.status(record)
    sandbox_id = record.id if isinstance(record, SandboxRecord) else record.sandbox_id
    return Told(record.id, _surely(record), Life(record.id, sandbox_id, status, record.created_ns))
