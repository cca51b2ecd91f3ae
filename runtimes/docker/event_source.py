"""What Docker tells of containers, and what a look at them shows, as their events need it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from cri.errors import NotFound
from runtimes.docker import container_status, resources, sandbox_status
from runtimes.docker.engine import Engine
from runtimes.docker.engine_time import engine_time
from runtimes.docker.logs import Logs
from runtimes.docker.sandboxes import Sandboxes
from runtimes.shared import labels
from runtimes.shared.container_events import Told
from runtimes.shared.engine_stream import EngineStream
from runtimes.shared.event_watch import EngineEvent
from runtimes.shared.fresh import Fresh
from runtimes.shared.life import Life, Look, life_of, told_end
from runtimes.shared.lifecycle import Phase
from runtimes.shared.records import Records

ACTIONS = ("create", "start", "die", "destroy", "update")

_REACHED = {"create": Phase.CREATED, "start": Phase.RUNNING, "die": Phase.EXITED, "destroy": Phase.DELETED}

_PHASES = {
    "created": Phase.CREATED,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "restarting": Phase.RUNNING,
    "exited": Phase.EXITED,
    # On its way out; whether it ever ran, only a look inside tells.
    "dead": Phase.CREATED,
    "removing": Phase.CREATED,
}


class EngineEvents:
    """See ``event_watch.Events``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def listen(self, since_ns: int) -> AbstractAsyncContextManager[EngineStream]:
        params = {"filters": json.dumps({"type": ["container"], "label": [labels.KIND], "event": list(ACTIONS)})}
        if since_ns:
            params["since"] = engine_time(since_ns)
        return self._engine.stream("GET", "/events", params=params)

    def read(self, found: Mapping[str, Any]) -> EngineEvent:
        actor = found["Actor"]
        return EngineEvent(actor["ID"], found["Action"], found["timeNano"], actor["Attributes"])


class EventSource:
    """See ``container_events.Source``. ``end_was_seen`` as for ``container_status.status``."""

    def __init__(
        self,
        engine: Engine,
        records: Records,
        fresh: Fresh,
        sandboxes: Sandboxes,
        logs: Logs,
        end_was_seen: Callable[[int], bool],
    ) -> None:
        self._engine = engine
        self._records = records
        self._fresh = fresh
        self._sandboxes = sandboxes
        self._logs = logs
        self._end_was_seen = end_was_seen

    async def list(self) -> Sequence[Told]:
        listed = await self._engine.call(self._engine.client.containers, all=True, filters={"label": [labels.KIND]})
        return [Told(found["Id"], phase_of(found), life_of(found, self._records)) for found in listed]

    async def look(self, life: Life) -> Look | None:
        try:
            found = await self._engine.call(self._engine.client.inspect_container, life.container_id)
        except NotFound:
            return None
        known = found["State"]
        times = (container_status.nanoseconds(known["StartedAt"]), container_status.nanoseconds(known["FinishedAt"]))
        sandbox = self._records.sandboxes.get(found)
        if sandbox is not None:
            self._sandboxes.note(found, sandbox)
            return Look(phase_of(found), sandbox_status.status(found, sandbox), *times)
        record = self._records.containers.get(found)
        if record is None:
            return None
        return Look(phase_of(found), container_status.status(found, record, self._end_was_seen), *times)

    def told(self, event: EngineEvent) -> Told:
        """What an event says."""
        name = "/" + event.attributes.get("name", "")
        found = {"Id": event.container_id, "Name": name, "Config": {"Labels": event.attributes}}
        reached = _REACHED.get(event.action, Phase.ABSENT)
        end = told_end(event.attributes.get("exitCode", ""), event.time_ns) if reached is Phase.EXITED else None
        look = self._at_first(found) if reached is Phase.CREATED else None
        told = Told(event.container_id, reached, life_of(found, self._records), end, look)
        if reached is not Phase.CREATED:
            self._fresh.forget(event.container_id)
        if reached is Phase.DELETED:
            # The last that is ever told of it, and read from its labels again.
            self._records.forget(event.container_id)
        return told

    def _at_first(self, told: Mapping[str, Any]) -> Look | None:
        """What a look would have shown when the engine made this; None where only a look tells."""
        sandbox = self._records.sandboxes.get(told)
        if sandbox is not None:
            return Look(Phase.CREATED, sandbox_status.status({**told, "State": "created"}, sandbox), 0, 0)
        made = self._fresh.told(told["Id"], told["Name"].removeprefix("/"), told["Config"]["Labels"])
        if made is None or resources.is_limited(made[0]["HostConfig"]):
            return None
        return Look(Phase.CREATED, container_status.status(*made, self._end_was_seen), 0, 0)

    def is_draining(self, container_id: str) -> bool:
        return self._logs.is_draining(container_id)

    async def drained(self, container_id: str) -> None:
        await self._logs.drained(container_id)


def phase_of(found: Mapping[str, Any]) -> Phase:
    """How far a container as listed or inspected has come."""
    known = found["State"]
    if not isinstance(known, dict):
        return _PHASES.get(known, Phase.ABSENT)
    phase = _PHASES.get(known["Status"], Phase.ABSENT)
    over = container_status.failed_to_start(known) or container_status.nanoseconds(known["StartedAt"])
    return Phase.EXITED if phase is Phase.CREATED and over else phase
