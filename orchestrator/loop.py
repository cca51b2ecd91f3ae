"""The control loop: compares what is known with what is there, and puts "look again" on the queue where they differ.

It changes nothing itself. Events of the runtime make it quick; the relist, which does not trust them, makes it
right. What carries another instance's label is never seen here.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cri.errors import CRIError
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from orchestrator.observe import observe_all
from orchestrator.pods import INSTANCE, TASK
from orchestrator.reconcile import decide
from orchestrator.steps import Observed, Settled, Wait
from orchestrator.store import Store
from orchestrator.task import Item

_log = logging.getLogger(__name__)

ACTOR = "loop"
_TELLING = frozenset({v1.CONTAINER_STOPPED_EVENT, v1.CONTAINER_DELETED_EVENT})
"""The events that happen without our doing; creating and starting is done by the worker, who knows."""
_RECONNECT = (0.1, 5.0)
"""Seconds before the event stream is opened again: at first, at most."""


class ControlLoop:
    """Watches one runtime for one store. ``logs`` is the folder whose per-task folders go with their tasks."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        *,
        logs: Path,
        relist: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._logs = logs
        self._every = relist
        self._clock = clock
        self._relist_now = asyncio.Event()
        self._stirred: dict[str, str] = {}
        self._stir = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="runtime events")
            group.create_task(self._hand_on(), name="events to queue")
            group.create_task(self._relist(), name="relist")

    # --- quick: events --------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pause, longest = _RECONNECT
        while True:
            opened = self._clock()
            try:
                # What happened before the stream was open shows in a relist; it runs while the stream is opening.
                self._relist_now.set()
                async for event in self._runtime.get_container_events(v1.GetEventsRequest()):
                    self._hear(event)
                _log.info("the runtime closed the stream of events; opening it again in %g s", pause)
            except CRIError as error:
                _log.warning("no events from the runtime (%s); trying again in %g s", error, pause)
            if self._clock() - opened > longest:
                pause = _RECONNECT[0]
            await asyncio.sleep(pause)
            pause = min(longest, pause * 2)

    def _hear(self, event: v1.ContainerEventResponse) -> None:
        if event.container_event_type not in _TELLING:
            return
        labelled = [event.pod_sandbox_status.labels, *(status.labels for status in event.containers_statuses)]
        for labels in labelled:
            if labels.get(INSTANCE) == self._store.instance and (task_id := labels.get(TASK)):
                what = "stopped" if event.container_event_type == v1.CONTAINER_STOPPED_EVENT else "deleted"
                self._stirred[task_id] = f"the runtime says: {what}"
                self._stir.set()
                return

    async def _hand_on(self) -> None:
        while True:
            await self._stir.wait()
            self._stir.clear()
            stirred, self._stirred = self._stirred, {}
            await self._ask_to_look(stirred.items())

    async def _ask_to_look(self, tasks: Iterable[tuple[str, str]]) -> None:
        items = [Item(task_id=task_id, actor=ACTOR, cause=cause) for task_id, cause in tasks]
        if not items:
            return
        try:
            await self._store.enqueue(items)
        except CRIError:
            _log.exception("the queue cannot be written; the next relist sees the same again")

    # --- right: the relist ----------------------------------------------------------------------------------

    async def _relist(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._relist_now.wait()
            self._relist_now.clear()
            try:
                await self._ask_to_look(await self.differences())
                await self._drop_logs()
            except CRIError as error:
                _log.warning("the runtime cannot be listed (%s); trying again in %g s", error, self._every)
            except OSError:
                _log.exception("logs of forgotten tasks cannot be removed")

    async def differences(self) -> list[tuple[str, str]]:
        """The tasks about which something is to be done, and why."""
        there = await observe_all(self._runtime, self._store.instance)
        known = await self._store.list()  # after the runtime: a thing is made only once its task is in the Db
        now = self._clock()
        found: list[tuple[str, str]] = []
        for task in known:
            seen = there.get(task.id, Observed())
            step = decide(task.desired, task, replace(seen, image=True), now)
            if not isinstance(step, Wait) and not (isinstance(step, Settled) and step.swept == task.swept):
                found.append((task.id, "known and observed differ"))
        strangers = there.keys() - {task.id for task in known}
        return found + [(task_id, "no such task is known") for task_id in sorted(strangers)]

    async def _drop_logs(self) -> None:
        """Logs go when the record is gone."""
        folders = await asyncio.to_thread(_folders, self._logs)
        uids = {task.uid for task in await self._store.list()}  # after the folders, for the same reason
        for folder in folders:
            if folder.name not in uids:
                await asyncio.to_thread(shutil.rmtree, folder)


def _folders(parent: Path) -> list[Path]:
    return [entry for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
