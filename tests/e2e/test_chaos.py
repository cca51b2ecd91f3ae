"""Thirty tasks of all kinds while a seeded hand kills minicri, the engine and what runs, deletes things behind its
back and fills its queue: once the hand rests, everything comes to exactly what the manifests say.

``TEST_CHAOS_SEEDS=1000 pytest tests/e2e/test_chaos.py -k fake`` plays a thousand on the fake, and several processes
share them with ``TEST_CHAOS_FIRST``, the first seed of each. What a seed does is the same each time: one that failed is
played again with ``TEST_CHAOS_FIRST=7 TEST_CHAOS_SEEDS=1``.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from orchestrator.client import Client
from orchestrator.messages import state_of
from orchestrator.pods import INSTANCE
from orchestrator.store import open_store
from orchestrator.v1 import orchestrator_pb2 as pb
from tests.conformance.kit import eventually
from tests.e2e.chaos import FIRST, WHOLE, Engine, Hand
from tests.e2e.engines import Configured
from tests.e2e.lives import Census, Folder, as_recorded, check_history, over
from tests.e2e.test_serve import address, serving
from tests.orchestrator.commands import PATIENCE

SEEDS = {"fake": 8, "docker": 3, "podman": 3, "native": 6}
"""How many a run plays on each engine, one after the other in one life of the engine."""
FIRST_SEED = int(os.environ.get("TEST_CHAOS_FIRST", "0"))
DEEDS = 12
"""Things that the hand does for each seed."""


def seeds(place: str) -> range:
    """Those of ``place``; no two engines play the same, unless the environment says which."""
    if asked := os.environ.get("TEST_CHAOS_SEEDS"):
        return range(FIRST_SEED, FIRST_SEED + int(asked))
    before = sum(list(SEEDS.values())[: list(SEEDS).index(place)])
    return range(before, before + SEEDS[place])


class Frozen:
    """The fake keeps everything in its memory, so it is not killed: it stops answering for a while."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def kill(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def start(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def battlefield(place: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Configured, Engine | None]]:
    """A configuration, and its engine to be killed; the native one is minicri itself."""
    match place:
        case "fake":
            (folder / "engine").mkdir()
            fake = Configured(folder / "engine", "fake", {})
            with serving(fake) as process:
                yield Configured(folder, "remote", {"address": address(fake)}), Frozen(process)
        case "native":
            yield Configured(folder, "native", request.getfixturevalue("backend_settings")("native")), None
        case "docker":
            engine = request.getfixturevalue("private_docker_engine")
            yield Configured(folder, "docker", {"host": engine.address}), engine
        case _:
            engine = request.getfixturevalue("private_podman_engine")
            yield Configured(folder, "podman", {"host": engine.address}), engine


@pytest.mark.timeout(0 if "TEST_CHAOS_SEEDS" in os.environ else 1200)
@pytest.mark.parametrize("place", SEEDS)
def test_what_the_manifests_say_comes_about_whatever_happens(place: str, request: pytest.FixtureRequest) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="minicri") as path,
        battlefield(place, request, Path(path)) as (configured, engine),
    ):
        asyncio.run(_all_seeds(configured, engine, seeds(place)))


async def _all_seeds(configured: Configured, engine: Engine | None, numbers: Iterable[int]) -> None:
    folder = Folder(configured)
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(configured.opened())
        stack.push_async_callback(_free, folder, engine, configured)
        stack.enter_context(folder.living())
        async with folder.client() as client:
            instance = (await client.info(pb.InfoRequest())).instance
        census = await stack.enter_async_context(aclosing(Census(runtime)))
        for number in numbers:
            await _one_seed(Hand(folder, engine, census, instance, random.Random(number)), number)
        async with folder.client() as client:
            await client.delete(pb.DeleteRequest(all=True, wait=True))
        assert await census.there(instance) == []
        await asyncio.to_thread(folder.end)
    assert "Traceback" not in folder.said()


async def _free(folder: Folder, engine: Engine | None, configured: Configured) -> None:
    """Leave nothing in an engine that others use, however it ended."""
    if engine is not None:
        await asyncio.to_thread(engine.start)
    async with open_store(folder.state) as store:
        wanted = v1.PodSandboxFilter(label_selector={INSTANCE: store.instance})
    async with configured.opened() as runtime:  # which takes away what calls left behind that nobody answered
        for one in (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest(filter=wanted))).items:
            await runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=one.id))
            await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=one.id))


async def _one_seed(hand: Hand, number: int) -> None:
    said = len(hand.folder.said())
    plan = hand.plan(DEEDS)
    begun = time.monotonic()
    try:
        await _play(hand, plan)
    except BaseException as error:
        deeds = ", ".join(deed.__name__ for deed in plan)
        error.add_note(f"seed {number}: {deeds}\nthe end of what it said:\n{hand.folder.said()[said:][-3000:]}")
        raise
    print(f"seed {number}: {time.monotonic() - begun:.1f} s")


async def _play(hand: Hand, plan: Iterable[Callable[[], Awaitable[None]]]) -> None:
    async with hand.folder.client() as client:
        elsewhere = [task.name for task in (await client.list(pb.ListRequest())).tasks if ended_early(task)]
        if elsewhere:  # a task that was stopped is over; to have it again one declares it anew
            await client.delete(pb.DeleteRequest(selector=pb.Selector(names=elsewhere), wait=True))
        await client.submit(pb.SubmitRequest(manifest=WHOLE, actor="test"))
    for deed in plan:
        await deed()
        await asyncio.sleep(hand.dice.uniform(0, 0.4))
    async with hand.folder.client() as client:
        await _come_to_rest(hand, client)
        events = [answer.event async for answer in client.watch(pb.WatchRequest())]
        tasks = list((await client.list(pb.ListRequest())).tasks)
    last = check_history(events)
    assert all(state_of(task.state) is last[task.uid] for task in tasks)
    twice = {piece: ids for piece, ids in hand.census.started.items() if len(ids) > 1}
    assert not twice, "started twice"


def ended_early(task: pb.Task) -> bool:
    return state_of(task.state) is not FIRST[task.name]


async def _come_to_rest(hand: Hand, client: Client) -> None:
    """Wait until every task is where it should be and the engine has that and nothing else."""
    wrong: object = None

    async def rests() -> bool:
        nonlocal wrong
        tasks = list((await client.list(pb.ListRequest())).tasks)
        states = {task.name: state_of(task.state) for task in tasks}
        wrong = set(states.items()) ^ set(hand.expected.items())
        if wrong:
            return False  # the engine is busy enough with bringing it about
        there, recorded = await hand.census.there(hand.instance), as_recorded(tasks)
        there = [one for one in there if one not in over(tasks)]
        wrong = set(there) ^ set(recorded)
        return there == recorded

    try:
        await eventually(rests, "everything is as the manifests say", within=3 * PATIENCE)
    except AssertionError as error:
        error.add_note(f"wrong to the end: {wrong}\n{await _told(hand, client)}")
        raise


async def _told(hand: Hand, client: Client) -> str:
    """What the orchestrator says of each task that is not where it should be, and the last of its history."""
    lines: list[str] = []
    for task in (await client.list(pb.ListRequest())).tasks:
        if state_of(task.state) is not hand.expected.get(task.name):
            told = await client.describe(pb.DescribeRequest(name=task.name))
            lines += [f"{task.name}: {told.why}", *(f"  {_line(event)}" for event in told.events)]
    return "\n".join(lines)


def _line(event: pb.Event) -> str:
    states = f"{pb.State.Name(event.from_state)} -> {pb.State.Name(event.to_state)}"
    return f"{event.sequence} {states} {event.actor}: {event.cause} {event.message}"
