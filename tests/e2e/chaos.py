"""A seeded hand that breaks things under a running orchestrator.

Everything on the engine is done through the CRI, as by somebody with crictl, so the same hand works on every engine.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from cri.errors import CRIError, InvalidArgument, Unavailable
from cri.v1 import api_pb2 as v1
from orchestrator.client import Client
from orchestrator.store import open_store
from orchestrator.task import Item, State
from orchestrator.v1 import orchestrator_pb2 as pb
from tests.e2e.lives import Census, Folder

T = TypeVar("T")

HOLD = "command: [sleep, '100000']\n"
SIDE = """
init: [{name: first, image: busybox, command: ['true']}]
containers: [{name: side, image: busybox, command: [sleep, '100000'], stop: {grace: 0}}]
"""
PROBES = "probes: {readiness: {exec: ['true'], period: 1s}, liveness: {exec: ['true'], period: 1s, timeout: 10s}}\n"
SOON = "{backoff: 100ms, max_backoff: 400ms"
KINDS: Mapping[str, tuple[int, State, str]] = {
    "server": (11, State.RUNNING, f"{HOLD}restart: {SOON}, policy: always}}\n"),
    "pair": (4, State.RUNNING, f"{HOLD}restart: {SOON}, policy: always}}\n{SIDE}"),
    "late": (3, State.RUNNING, f"{HOLD}depends_on: {{job-0: completed}}\nrestart: {SOON}, policy: always}}\n"),
    "probed": (2, State.RUNNING, f"{HOLD}{PROBES}restart: {SOON}, policy: always}}\n"),
    "job": (5, State.COMPLETED, f"command: [sleep, '0.3']\nrestart: {SOON}, policy: on-failure}}\n"),
    "failing": (
        5,
        State.FAILED,
        f"command: [sh, -c, 'sleep 0.2; exit 3']\nrestart: {SOON}, policy: on-failure, attempts: 2}}\n",
    ),
}
"""How many tasks there are of each kind, where one of it comes to when nobody stops it, and its manifest."""

FIRST = {f"{kind}-{number}": end for kind, (count, end, _) in KINDS.items() for number in range(count)}


def manifest(name: str) -> str:
    return f"name: {name}\nimage: busybox\nstop: {{grace: 0}}\n{KINDS[name.partition('-')[0]][2]}"


WHOLE = "---\n".join(map(manifest, FIRST))


class Engine(Protocol):
    """An engine that may be taken away and given back."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


@dataclass
class Hand:
    """Breaks things. ``expected`` is where each task has to come to when the hand rests."""

    folder: Folder
    engine: Engine | None
    census: Census
    instance: str
    dice: random.Random
    expected: dict[str, State] = field(default_factory=lambda: dict(FIRST))

    def plan(self, count: int) -> list[Callable[[], Awaitable[None]]]:
        """What it will do: everything that it can, once, and more by lot, in an order by lot. The same for the same
        seed, however things turn out."""
        deeds: dict[Callable[[], Awaitable[None]], int] = {
            self.kill_minicri: 5,
            self.end_container: 6,
            self.remove_container: 4,
            self.stop_sandbox: 4,
            self.remove_sandbox: 4,
            self.submit_again: 3,
            self.submit_nonsense: 3,
            self.stop: 4,
            self.restart: 4,
            self.delete_and_submit: 4,
            self.kill_engine: 1,
        }
        more = self.dice.choices(list(deeds), weights=list(deeds.values()), k=max(0, count - len(deeds)))
        return self.dice.sample([*deeds, *more], k=count)

    # --- at the processes -------------------------------------------------------------------------------

    async def kill_minicri(self) -> None:
        """And while it is dead somebody leaves things in its queue that make no sense any more."""
        await asyncio.to_thread(self.folder.kill)
        if self.folder.state.exists() and self.dice.random() < 0.5:
            async with open_store(self.folder.state) as store:
                await store.enqueue([self._stale() for _ in range(self.dice.randrange(1, 12))])
        self.folder.begin()

    def _stale(self) -> Item:
        """Looks, twice and thrice, at tasks there are and are not; wishes for tasks that nobody knows, or that the
        table refuses wherever a task stands."""
        name = self.dice.choice([*FIRST, "nobody", "nobody-else"])
        known = name in FIRST
        wish = self.dice.choice([None, State.PENDING] if known else [None, *State])
        return Item(task_id=name, wish=wish, actor="hand", cause="left over", forget=not known)

    async def kill_engine(self) -> None:
        if self.engine is not None:
            await asyncio.to_thread(self.engine.kill)
            await asyncio.sleep(self.dice.uniform(0, 0.5))
            await asyncio.to_thread(self.engine.start)

    # --- behind its back --------------------------------------------------------------------------------

    async def end_container(self) -> None:
        with suppress(CRIError):
            for one in self._some(await self.census.containers(self.instance), 3):
                await self.census.runtime.stop_container(v1.StopContainerRequest(container_id=one.id))

    async def remove_container(self) -> None:
        with suppress(CRIError):
            for one in self._some(await self.census.containers(self.instance), 2):
                await self.census.runtime.remove_container(v1.RemoveContainerRequest(container_id=one.id))

    async def stop_sandbox(self) -> None:
        with suppress(CRIError):
            for one in self._some(await self.census.sandboxes(self.instance), 2):
                await self.census.runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=one.id))

    async def remove_sandbox(self) -> None:
        with suppress(CRIError):
            for one in self._some(await self.census.sandboxes(self.instance), 2):
                await self.census.runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=one.id))
                await self.census.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=one.id))

    def _some(self, found: list[T], most: int) -> list[T]:
        return self.dice.sample(found, min(len(found), self.dice.randint(1, most)))

    # --- as its users do ----------------------------------------------------------------------------------

    async def submit_again(self) -> None:
        """The same, several times at once."""
        async with self.folder.client() as client:
            request = pb.SubmitRequest(manifest=WHOLE, actor="hand")
            await asyncio.gather(*(_heard(client.submit(request)) for _ in range(3)))

    async def submit_nonsense(self) -> None:
        """A manifest that is wrong at its end is refused as a whole."""
        async with self.folder.client() as client:
            nonsense = self.dice.choice(["name: -x\nimage: busybox\n", "name: server-0\nimage: ''\n", "name: [\n"])
            request = pb.SubmitRequest(manifest=f'{manifest("server-0")}command: ["true"]\n---\n{nonsense}')
            with suppress(InvalidArgument):
                await _heard(client.submit(request))
                raise AssertionError(f"taken: {request.manifest}")

    async def stop(self) -> None:
        name = self.dice.choice([name for name, end in FIRST.items() if end is State.RUNNING])
        self.expected[name] = State.COMPLETED
        await self._insist(lambda client: client.stop(pb.StopRequest(selector=pb.Selector(names=[name]))))

    async def restart(self) -> None:
        name = self.dice.choice([name for name, end in self.expected.items() if end is State.RUNNING])
        await self._insist(lambda client: client.restart(pb.RestartRequest(selector=pb.Selector(names=[name]))))

    async def delete_and_submit(self) -> None:
        name = self.dice.choice(list(FIRST))
        self.expected[name] = FIRST[name]
        await self._insist(lambda client: client.delete(pb.DeleteRequest(selector=pb.Selector(names=[name]))))
        await self._insist(lambda client: client.submit(pb.SubmitRequest(manifest=manifest(name), actor="hand")))

    async def _insist(self, ask: Callable[[Client], Awaitable[object]]) -> None:
        """Ask until it is answered, whoever dies meanwhile. An answer that was lost makes it a second time."""
        while True:
            async with self.folder.client() as client:
                if await _heard(ask(client)):
                    return


async def _heard(call: Awaitable[object]) -> bool:
    """Whether it was answered."""
    try:
        await call
    except Unavailable:
        return False
    return True
