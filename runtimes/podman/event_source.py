"""What Podman tells of containers and pods, and what a look at them shows, as their events need it."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from cri.errors import NotFound
from cri.v1 import api_pb2 as v1
from runtimes.podman import sandbox_status
from runtimes.podman.container_status import nanoseconds
from runtimes.podman.containers import Containers
from runtimes.podman.engine import Engine
from runtimes.podman.sandboxes import Sandboxes
from runtimes.shared import labels
from runtimes.shared.container_events import Told
from runtimes.shared.engine_stream import EngineStream
from runtimes.shared.event_watch import EngineEvent
from runtimes.shared.life import Life, Look, life_of, told_end
from runtimes.shared.lifecycle import Phase
from runtimes.shared.records import Records

POD = "podId"
"""Podman's attribute that names the pod of a container; some events lack it."""

_REACHED = {"create": Phase.CREATED, "start": Phase.RUNNING, "died": Phase.EXITED, "remove": Phase.DELETED}

_PHASES = {
    "configured": Phase.CREATED,
    "created": Phase.CREATED,
    "initialized": Phase.CREATED,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "stopping": Phase.RUNNING,
    "stopped": Phase.EXITED,
    "exited": Phase.EXITED,
    # On its way out; whether it ever ran, only a look inside tells.
    "removing": Phase.CREATED,
}

_KEPT = 4096


class EngineEvents:
    """See ``event_watch.Events``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def listen(self, since_ns: int) -> AbstractAsyncContextManager[EngineStream]:
        # Podman 4 knows no filter for the presence of a label; strangers are told apart below.
        params: dict[str, str | bool] = {"stream": True, "filters": json.dumps({"type": ["container", "pod"]})}
        if since_ns:
            params["since"] = "{}.{:09d}".format(*divmod(since_ns, 1_000_000_000))
        return self._engine.stream("GET", "/events", params=params)

    def read(self, found: Mapping[str, Any]) -> EngineEvent | None:
        actor = found["Actor"]
        kind = found["Type"]
        if found["Action"] not in _REACHED or (kind == "pod" and found["Action"] != "remove"):
            return None
        return EngineEvent(actor["ID"], found["Action"], found["timeNano"], actor.get("Attributes") or {})


class EventSource:
    """See ``container_events.Source``. A sandbox lives as its infra container does, and is gone with its pod."""

    def __init__(self, engine: Engine, records: Records, containers: Containers, sandboxes: Sandboxes) -> None:
        self._engine = engine
        self._records = records
        self._containers = containers
        self._sandboxes = sandboxes
        self._pods: OrderedDict[str, str] = OrderedDict()
        """The pod of each infra container."""
        self._infras: dict[str, str] = {}
        """And the other way round."""

    async def list(self) -> Sequence[Told]:
        pods, containers = await asyncio.gather(
            self._engine.get("/pods/json", params={"filters": _kind(labels.SANDBOX)}),
            self._engine.get("/containers/json", params={"all": True, "filters": _kind(labels.CONTAINER)}),
        )
        told = []
        for pod in pods or ():
            infra = sandbox_status.infra_id(pod)
            self._note(infra, pod["Id"])
            states = {each["Id"]: each["Status"] for each in pod.get("Containers") or ()}
            told.append(Told(pod["Id"], _phase(states.get(infra, "exited")), life_of(pod, self._records)))
        told += [Told(found["Id"], _phase(found["State"]), life_of(found, self._records)) for found in containers or ()]
        return told

    async def look(self, life: Life) -> Look | None:
        try:
            if life.is_sandbox:
                if (seen := await self._look_inside(life.container_id)) is not None:
                    return seen
                status, found = await self._sandboxes.status(life.container_id)
                if found["Infra"] is None:
                    # It is being removed. What its infra container went through the engine has told, or will.
                    return Look(life.phase, status, life.started_ns, life.finished_ns)
                state = found["Infra"]["State"]
                return Look(_phase(state["Status"]), status, *_times(state))
            ended, found = await self._containers.status(life.container_id)
        except NotFound:
            return None
        phase = Phase.EXITED if ended.state == v1.CONTAINER_EXITED else _phase(found["State"]["Status"])
        return Look(phase, ended, *_times(found["State"]))

    async def _look_inside(self, sandbox_id: str) -> Look | None:
        """By one look instead of two: what is known of the pod besides never changes. None where that does not tell."""
        if (infra_id := self._infras.get(sandbox_id)) is None:
            return None
        infra = await self._engine.inspect("containers", infra_id)
        return self._inside(sandbox_id, infra) if infra is not None else None

    def _inside(self, sandbox_id: str, infra: Mapping[str, Any]) -> Look | None:
        """What its inspected infra container shows of a sandbox."""
        pod = sandbox_status.pod_of(sandbox_id, infra)
        record = self._records.sandboxes.get(pod)
        if record is None:
            return None
        return Look(
            _phase(infra["State"]["Status"]), sandbox_status.status(pod, infra, record), *_times(infra["State"])
        )

    def told(self, event: EngineEvent) -> Told:
        """What an event says."""
        told = self._told(event)
        if told.reached is not Phase.CREATED:
            self._containers.forget_fresh(told.container_id)
        if told.reached is Phase.DELETED:
            # The last that is ever told of it, and read from its labels again.
            self._records.forget(told.container_id)
        return told

    def _told(self, event: EngineEvent) -> Told:
        reached = _REACHED[event.action]
        found = {"Id": event.container_id, "Name": event.attributes.get("name", ""), "Labels": event.attributes}
        if event.attributes.get(labels.KIND) != labels.SANDBOX:
            code = event.attributes.get("containerExitCode", "") if reached is Phase.EXITED else ""
            end = told_end(code, event.time_ns)
            return Told(event.container_id, reached, life_of(found, self._records), end)
        # The engine's word is about the infra container; its removal is not the sandbox's.
        self._note(event.container_id, event.attributes.get(POD) or "")
        sandbox_id = self._pods.get(event.container_id, event.container_id)
        if sandbox_id == event.container_id:
            return Told(sandbox_id, Phase.ABSENT if reached is Phase.DELETED else reached, None)
        pod = found | {"Id": sandbox_id}
        life, record = life_of(pod, self._records), self._records.sandboxes.get(pod)
        look, shown = None, self._sandboxes.shown(sandbox_id) if reached is not Phase.CREATED else None
        if reached is Phase.CREATED and record is not None:
            # It has no address before it is started: the labels say all there is.
            look = Look(reached, sandbox_status.status(pod, None, record), 0, 0)
        elif reached is Phase.RUNNING and shown is not None:
            look = self._inside(sandbox_id, shown)
        return Told(sandbox_id, Phase.ABSENT if reached is Phase.DELETED else reached, life, look=look)

    def is_draining(self, container_id: str) -> bool:
        """Never: the monitor has written all before it tells of the end."""
        return False

    async def drained(self, container_id: str) -> None:
        return

    def _note(self, infra: str, pod: str) -> None:
        if infra and pod:
            self._pods[infra], self._infras[pod] = pod, infra
            if len(self._pods) > _KEPT:
                self._infras.pop(self._pods.popitem(last=False)[1], None)


def _kind(kind: str) -> str:
    return json.dumps({"label": [f"{labels.KIND}={kind}"]})


def _phase(word: str) -> Phase:
    return _PHASES.get(word.lower(), Phase.ABSENT)


def _times(state: Mapping[str, Any]) -> tuple[int, int]:
    """When it started and ended, in nanoseconds."""
    return nanoseconds(state.get("StartedAt") or "0001-"), nanoseconds(state.get("FinishedAt") or "0001-")
