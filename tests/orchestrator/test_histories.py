"""Random histories: whatever is asked, whatever happens in the runtime and whenever the process dies, no transition
is forbidden, no item is lost or judged twice, nothing is started twice, and in the end all is as the records say."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cri.errors import CRIError, FailedPrecondition, Internal, InvalidArgument, Unavailable
from cri.v1 import api_pb2 as v1
from orchestrator.dependencies import unmet
from orchestrator.loop import ControlLoop
from orchestrator.orphans import timer
from orchestrator.perform import Performer
from orchestrator.pods import ATTEMPT, TASK, UID
from orchestrator.store import Store
from orchestrator.task import TRANSITIONS, Event, EventKind, Item, State
from orchestrator.worker import Settings, Worker
from tests.orchestrator.mortal import CALLS, Fate, MadeUp, MortalEngine, MortalStore
from tests.orchestrator.variants import VARIANTS, init_ends, spec

PACE = Settings(retry_backoff=0.0, retry_max=0.0)
NAMES = ("a", "b")
PATIENCE = 60.0


@dataclass(frozen=True)
class Ask:
    """Put an item on the queue; ``variant`` of the spec, None for an item without one."""

    task_id: str
    wish: State | None
    variant: int | None
    forget: bool


@dataclass(frozen=True)
class Happen:
    """Something happens in the runtime to one of the task's containers that run."""

    task_id: str
    what: str
    which: int = 0


@dataclass(frozen=True)
class Break:
    """The next call of this kind fails."""

    method: str
    error: type[CRIError]


@dataclass(frozen=True)
class Live:
    """The process works, and dies after so many calls (0: it works until nothing is left to do)."""

    moments: int


Step = Ask | Happen | Break | Live

names = st.sampled_from(NAMES)
asks = st.builds(
    Ask, names, st.sampled_from([*State, None]), st.sampled_from([None, None, *range(len(VARIANTS))]), st.booleans()
)
starts = st.builds(Ask, names, st.just(State.SCHEDULED), st.integers(0, len(VARIANTS) - 1), st.just(False))
happenings = st.builds(
    Happen,
    names,
    st.sampled_from(["exit 0", "exit 3", "lose container", "kill sandbox", "fall ill"]),
    st.integers(0, 2),
)
breaks = st.builds(
    Break,
    st.sampled_from([*CALLS]),
    st.sampled_from([Unavailable, Internal, InvalidArgument, FailedPrecondition]),
)
lives = st.builds(Live, st.integers(0, 60))
histories = st.lists(st.one_of(asks, starts, lives, lives, happenings, breaks), max_size=25)


class World:
    """One store and one engine, and the processes that come and go over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fate = Fate()
        self.store = MortalStore(self.fate)
        self.engine = MortalEngine(self.fate)
        self.engine.exits_at_once = init_ends
        self.asked: dict[int, Item] = {}
        self.survived = False
        self.moments = 0
        """At how many moments the last life could have ended."""

    async def go_through(self, history: Sequence[Step]) -> None:
        """The history, and then whatever it takes to come to rest."""
        await self.suffer(history)
        self.engine.failures.clear()
        await self.live(0)

    async def suffer(self, history: Sequence[Step]) -> None:
        for step in history:
            match step:
                case Ask():
                    wanted = spec(step.task_id, step.variant) if step.variant is not None else None
                    item = Item(task_id=step.task_id, wish=step.wish, spec=wanted, forget=step.forget, actor="test")
                    [number] = await self.store.enqueue([item])
                    if item.wish is not None:
                        self.asked[number] = item
                case Happen():
                    self._happen(step)
                case Break():
                    self.engine.fail_next(step.method, step.error("broken"))
                case Live():
                    await self.live(step.moments)

    def _happen(self, step: Happen) -> None:
        running = self.engine.running(step.task_id)
        for container_id in running[step.which % len(running) :][:1] if running else ():
            match step.what:
                case "exit 0" | "exit 3":
                    self.engine.end(container_id, int(step.what[-1]))
                case "fall ill":
                    self.engine.sick.add(container_id)
                case "lose container":
                    self.engine.lose_container(container_id)
                case _:
                    self.engine.kill_sandbox(self.engine.homes[container_id])

    async def live(self, moments: int) -> None:
        """A process starts, looks around, works, and dies or comes to rest."""
        self.fate.live()
        prober = MadeUp(self.engine)
        loop = ControlLoop(self.store, self.engine, PACE, health=prober.health)
        self.fate.live(moments or None)
        worker = Worker(self.store, Performer(self.engine, "ours", self.folder), PACE)
        worker.prober = prober
        life = asyncio.create_task(self._work_until_rest(worker, loop))
        death = asyncio.create_task(self.fate.dead.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        self.survived = life.done()
        self.moments = self.fate.moments
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if life.done():
            life.result()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.fate.live()
        await self.store.release(worker.name)

    async def _work_until_rest(self, worker: Worker, loop: ControlLoop) -> None:
        running = asyncio.create_task(worker.run())
        while True:
            try:
                differing, strangers = await loop.differences()
            except CRIError:
                continue  # the loop would try again later
            await self.store.enqueue([Item(task_id=task_id, actor="loop") for task_id in differing])
            await self.store.enqueue([timer(task_id, 0.0, "loop", "nobody knows it") for task_id in strangers])
            while worker.under_way or await self.store.depth():
                assert not running.done(), running.result()
                await asyncio.sleep(0)
            if not differing and not strangers:
                return


def transitions(events: list[Event]) -> None:
    """Every line follows from the one before, by the table."""
    state: dict[str, State | None] = {}
    for event in (event for event in events if event.kind is EventKind.TRANSITION):
        before = state.get(event.uid)
        assert event.source == before
        assert event.target is not None
        assert event.target is State.PENDING if before is None else event.target in TRANSITIONS[before]
        state[event.uid] = event.target


async def check(world: World) -> None:
    engine, store = world.engine, world.store
    events = list(await store.history(limit=100_000))
    transitions(events)
    assert not [key for key, count in engine.starts.items() if count > 1], "started twice"
    judged = Counter(event.item for event in events if event.item)
    for number in world.asked:
        first = [event for event in events if event.item == number][:1]
        born = bool(first) and first[0].kind is EventKind.TRANSITION and first[0].source is None
        assert judged[number] == (2 if born else 1), f"item {number} was judged {judged[number]} times"
    assert await store.depth() == 0
    await as_recorded(store, engine, events)


async def as_recorded(store: Store, engine: MortalEngine, events: list[Event]) -> None:
    """What is in the engine is exactly what the records say, and the records say what the history says."""
    expected = Counter[tuple[str, str, str]]()
    for task in await store.list():
        assert not task.forget, "nobody finished forgetting it"
        last = [e.target for e in events if e.uid == task.uid and e.kind is EventKind.TRANSITION][-1]
        assert task.state is last
        if task.state is State.SCHEDULED:
            declared = {name: await store.named(name) for name in task.spec.depends_on}
            assert (task.reason, task.message) == ("Waiting", unmet(task.spec, declared))
            idle = [each for each, sandbox in engine.sandboxes.items() if sandbox.labels[UID] == task.uid]
            assert [engine.sandboxes.pop(each) for each in idle][1:] == [], "several sandboxes of one task"
        elif task.state is State.RUNNING:
            expected[task.id, task.uid, str(task.attempt)] = len(task.spec.everyone)
            assert task.containers.keys() == {container.name for container in task.spec.everyone}
            assert {engine.homes[each] for each in task.containers.values()} == {task.sandbox_id}
            assert engine.sandboxes[task.sandbox_id].state == v1.SANDBOX_READY
            assert task.container_id in engine.running(task.id)
            assert not any(task.spec.probes) or task.container_id not in engine.sick
            limits = engine.configs[task.container_id].linux.resources
            assert (limits.memory_limit_in_bytes or None, task.resized) == (task.spec.resources.memory, ())
            assert task.hooked == ((task.id,) if task.spec.hooks.post_start else ())
            assert task.ready
            for each in set(task.containers.values()) - set(engine.running(task.id)):
                assert engine.containers[each].exit_code == 0
        else:
            assert task.swept
    assert expected == Counter((c.labels[TASK], c.labels[UID], c.labels[ATTEMPT]) for c in engine.containers.values())
    assert {(s.labels[TASK], s.labels[UID]) for s in engine.sandboxes.values()} == {key[:2] for key in expected}
    assert len(engine.sandboxes) == len(expected)


async def play(history: Sequence[Step]) -> None:
    with tempfile.TemporaryDirectory(prefix="minicri-histories-") as folder:
        world = World(Path(folder))
        await world.go_through(history)
        await check(world)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_no_history_breaks_the_law(history: Sequence[Step]) -> None:
    asyncio.run(play(history))


def story(*steps: Step) -> Sequence[Step]:
    return [Ask("a", State.SCHEDULED, 0, False), *steps]


STORIES = {
    "start": story(),
    "start with pull": [Ask("a", State.SCHEDULED, 3, False)],
    "stop": story(Ask("a", State.COMPLETED, None, False)),
    "delete": story(Ask("a", State.COMPLETED, None, True)),
    "restart": story(Ask("a", State.SCHEDULED, None, False)),
    "change": story(Ask("a", State.SCHEDULED, 1, False)),
    "init and beside": [Ask("a", State.SCHEDULED, 4, False)],
    "init that fails once": [Ask("a", State.SCHEDULED, 5, False)],
    "restart of several": [Ask("a", State.SCHEDULED, 4, False), Ask("a", State.SCHEDULED, None, False)],
    "hooks": story(Ask("a", State.SCHEDULED, 6, False)),
    "other limits": [Ask("a", State.SCHEDULED, 7, False), Ask("a", State.SCHEDULED, 8, False)],
    "a dependent": [Ask("b", State.SCHEDULED, 9, False), Ask("a", State.SCHEDULED, 2, False)],
    "delete and submit again": story(Ask("a", State.COMPLETED, None, True), Ask("a", State.SCHEDULED, 0, False)),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_crash_at_any_call_changes_nothing_in_the_end(name: str) -> None:
    """Each story is told with a first part settled, then a crash at the n-th call, for every n there is."""

    async def tell() -> int:
        calls = 0
        while True:
            calls += 1
            with tempfile.TemporaryDirectory(prefix="minicri-histories-") as folder:
                world = World(Path(folder))
                first, *rest = STORIES[name]
                if rest:
                    await world.go_through([first])
                await world.suffer(rest or [first])
                await world.live(calls)
                survived = world.survived
                await world.go_through([])
                await check(world)
            if survived:
                return calls

    assert asyncio.run(tell()) > 10
