"""One orchestrator through several lives on one engine, and what the engine itself says of it, through the CRI."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

from cri.errors import CRIError, Unavailable
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from minicri.exits import Exit
from orchestrator.client import Client
from orchestrator.messages import state_of
from orchestrator.pods import ATTEMPT, INSTANCE, TASK, UID
from orchestrator.task import TRANSITIONS, State
from orchestrator.v1 import orchestrator_pb2 as pb
from tests.e2e.engines import Configured
from tests.orchestrator.commands import PATIENCE, environment
from tests.orchestrator.forked import Forked


class Piece(NamedTuple):
    """A sandbox or a container of a task; a sandbox has no ``name`` and serves several attempts."""

    task: str
    uid: str
    name: str = ""
    attempt: str = ""


class Folder:
    """Where one orchestrator lives, through all its lives."""

    def __init__(self, configured: Configured) -> None:
        self.path = configured.folder
        self.state = self.path / "state"
        self.address = f"unix://{self.path}/o.sock"
        self._configured = configured
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """A life of ``minicri up``."""
        variables = {
            "MINICRI_ORCHESTRATOR__LISTEN": self.address,
            "MINICRI_ORCHESTRATOR__STATE": str(self.state),
            "MINICRI_ORCHESTRATOR__RELIST": "1",
            "MINICRI_ORCHESTRATOR__RETRY_MAX": "1",
        }
        with (self.path / "up.log").open("ab") as log:
            self._process = Forked(
                ["up", "--config", str(self._configured.file)],
                cwd=self.path,
                env=environment(self.path, **self._configured.variables, **variables),
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            ended = self._process.poll()
            assert ended in (None, Exit.UNAVAILABLE), f"it ended by itself:\n{self.said()}"
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def end(self) -> None:
        """SIGTERM; it ends well."""
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(PATIENCE) == 0, self.said()
        self._process = None

    def _begin_again(self) -> None:
        """As a service manager does: it does not begin where its engine is away."""
        ended = None if self._process is None else self._process.poll()
        if ended == Exit.UNAVAILABLE:
            self.begin()
        else:
            assert ended is None, f"it ended by itself with {ended}:\n{self.said()}"

    @contextmanager
    def living(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.wait(PATIENCE)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client, once one can be had."""
        while True:
            async with Client.connect(self.address) as client:
                try:
                    await client.ready(0.5)
                except Unavailable:
                    self._begin_again()
                    continue
                yield client
                return

    def said(self) -> str:
        return (self.path / "up.log").read_text()


class Census:
    """What the engine says of one instance: what there is, and which containers were ever started."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.started: dict[Piece, set[str]] = {}
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            with suppress(CRIError):
                async for event in self.runtime.get_container_events(v1.GetEventsRequest()):
                    if event.container_event_type == v1.CONTAINER_STARTED_EVENT:
                        for status in event.containers_statuses:
                            if status.id == event.container_id and TASK in status.labels:
                                self.started.setdefault(_inside(status), set()).add(status.id)
            await asyncio.sleep(0.1)

    async def aclose(self) -> None:
        self._listening.cancel()
        await asyncio.wait({self._listening})

    async def containers(self, instance: str) -> list[v1.Container]:
        wanted = v1.ContainerFilter(label_selector={INSTANCE: instance})
        return list((await self.runtime.list_containers(v1.ListContainersRequest(filter=wanted))).containers)

    async def sandboxes(self, instance: str) -> list[v1.PodSandbox]:
        wanted = v1.PodSandboxFilter(label_selector={INSTANCE: instance})
        return list((await self.runtime.list_pod_sandbox(v1.ListPodSandboxRequest(filter=wanted))).items)

    async def there(self, instance: str) -> list[tuple[Piece, bool]]:
        """Each piece, and whether it runs."""
        inside = [(_inside(one), one.state == v1.CONTAINER_RUNNING) for one in await self.containers(instance)]
        boxes = [(_box(one), one.state == v1.SANDBOX_READY) for one in await self.sandboxes(instance)]
        return sorted([*inside, *boxes])


def _inside(found: v1.Container | v1.ContainerStatus) -> Piece:
    return Piece(found.labels[TASK], found.labels[UID], found.metadata.name, found.labels[ATTEMPT])


def _box(found: v1.PodSandbox) -> Piece:
    return Piece(found.labels[TASK], found.labels[UID])


def as_recorded(tasks: Iterable[pb.Task]) -> list[tuple[Piece, bool]]:
    """What has to be in the engine: of each task that runs a sandbox and its containers, all of them running."""
    pieces: list[tuple[Piece, bool]] = []
    for task in tasks:
        if task.state == pb.STATE_RUNNING:
            spec = json.loads(task.spec_json)
            pieces.append((Piece(task.name, task.uid), True))
            names = [spec["name"], *(one["name"] for one in spec.get("containers", ()))]
            pieces += [(Piece(task.name, task.uid, name, str(task.attempt)), True) for name in names]
    return sorted(pieces)


def over(tasks: Iterable[pb.Task]) -> set[tuple[Piece, bool]]:
    """What may be in the engine besides: containers that come first and have ended."""
    return {
        (Piece(task.name, task.uid, one["name"], str(task.attempt)), False)
        for task in tasks
        if task.state == pb.STATE_RUNNING
        for one in json.loads(task.spec_json).get("init", ())
    }


def check_history(events: Iterable[pb.Event]) -> dict[str, State]:
    """The state of each uid after the last of its transitions, each of which follows from the one before."""
    last: dict[str, State] = {}
    for event in events:
        if event.kind == pb.Event.KIND_TRANSITION:
            to = state_of(event.to_state)
            if event.uid in last:
                assert state_of(event.from_state) is last[event.uid], event
                assert to in TRANSITIONS[last[event.uid]], event
            else:
                assert (event.from_state, to) == (pb.STATE_UNSPECIFIED, State.PENDING), event
            last[event.uid] = to
    return last
