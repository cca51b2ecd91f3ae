"""What is left of tasks that nobody knows: it goes after a grace, or when asked for, and only where it is ours."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cri.errors import Unavailable
from cri.v1 import api_pb2 as v1
from orchestrator.control import Settings
from orchestrator.orphans import Orphans, strangers
from orchestrator.server import Service
from orchestrator.steps import Observed
from orchestrator.store import MemoryStore, open_store
from orchestrator.task import EventKind, Item, State
from orchestrator.v1 import orchestrator_pb2 as pb
from tests.orchestrator.driving import QUICK, eventually, gone, orchestrating, reach, spec
from tests.orchestrator.engine import Engine

AT_ONCE = replace(QUICK, orphan_grace=0.0)


@pytest.fixture
def engine() -> Engine:
    return Engine()


async def leave_behind(engine: Engine, folder: Path, instance: str, name: str = "web") -> str:
    """A container that runs, of a task that was known only to a store that is gone."""
    async with orchestrating(engine, folder, store=MemoryStore(instance)) as lost:
        await lost.submit([spec(name)], actor="test")
        return (await reach(lost, name, State.RUNNING)).container_id


def test_only_what_no_known_task_owns_is_strange() -> None:
    assert list(strangers({"b": Observed(), "a": Observed(), "c": Observed()}, ["b"])) == ["a", "c"]


async def test_orphans_of_this_instance_go_and_those_of_others_stay(engine: Engine, tmp_path: Path) -> None:
    theirs = await leave_behind(engine, tmp_path, "theirs")
    await leave_behind(engine, tmp_path, "ours", "lost")
    async with orchestrating(engine, tmp_path, store=MemoryStore("ours"), settings=AT_ONCE) as ours:
        await eventually(lambda: list(engine.containers) == [theirs])
        await ours.orphans.reap(actor="test", wait=True)
    assert engine.running("web") == [theirs]


async def test_the_history_says_why_an_orphan_went_and_who_did_it(engine: Engine, tmp_path: Path) -> None:
    await leave_behind(engine, tmp_path, "ours")
    async with orchestrating(engine, tmp_path, store=MemoryStore("ours"), settings=AT_ONCE) as ours:
        await eventually(lambda: not engine.sandboxes)
        [told] = await ours.history(task_id="web")
    assert (told.kind, told.reason, told.actor) == (EventKind.NOTE, "Orphaned", "loop")
    assert told.cause == "no task has owned it for 0 s"
    assert told.message == "removing 1 sandbox and 1 container, 1 of them running"


async def test_an_orphan_is_left_alone_during_its_grace_whatever_is_heard_of_it(engine: Engine, tmp_path: Path) -> None:
    container = await leave_behind(engine, tmp_path, "ours")
    store = MemoryStore("ours")
    async with orchestrating(engine, tmp_path, store=store) as ours:
        async with asyncio.timeout(60):
            while "web" not in await store.reaping():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        engine.end(container, 1)
        await store.enqueue([Item(task_id="web", actor="test")])
        await ours.submit([spec("other")], actor="test")
        await reach(ours, "other", State.RUNNING)
    assert container in engine.containers
    assert not await ours.history(task_id="web")


async def test_a_restart_does_not_begin_the_grace_anew(engine: Engine, tmp_path: Path) -> None:
    async with open_store(tmp_path / "state") as store:
        await leave_behind(engine, tmp_path, store.instance)
        first = Orphans(store, engine, 300.0, lambda: 1000.0)
        await store.enqueue([Item(task_id="web", forget=True, not_before=(await first.list())[0].reap_at)])
    async with open_store(tmp_path / "state") as store:
        later = Orphans(store, engine, 300.0, lambda: 1200.0)
        assert [one.reap_at for one in await later.list()] == [1300.0]
        await store.enqueue([Item(task_id="web", forget=True, not_before=1500.0)])
        assert await store.reaping() == {"web": 1300.0}


async def test_what_is_known_again_by_then_stays(engine: Engine, tmp_path: Path) -> None:
    store = MemoryStore("ours")
    async with orchestrating(engine, tmp_path, store=store) as ours:
        await ours.submit([spec()], actor="test")
        before = await reach(ours, "web", State.RUNNING)
        await store.enqueue([Item(task_id="web", forget=True)])
        async with asyncio.timeout(60):
            while await store.depth():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert await ours.get("web") == before
        assert engine.running("web") == [before.container_id]


async def test_an_orphan_still_goes_when_the_engine_was_away_at_first(engine: Engine, tmp_path: Path) -> None:
    await leave_behind(engine, tmp_path, "ours")
    engine.fail_next("stop_container", Unavailable("engine is away"))
    async with orchestrating(engine, tmp_path, store=MemoryStore("ours"), settings=AT_ONCE):
        await eventually(lambda: not engine.sandboxes)


async def test_orphans_can_be_listed_and_reaped_at_once_over_the_service(engine: Engine, tmp_path: Path) -> None:
    await leave_behind(engine, tmp_path, "ours")
    theirs = await leave_behind(engine, tmp_path, "theirs")
    patient = Settings(relist=3600.0)
    async with orchestrating(engine, tmp_path, store=MemoryStore("ours"), settings=patient) as ours:
        service = Service(ours, engine, instance="ours")
        [shown] = (await service.reap_orphans(pb.ReapOrphansRequest(dry_run=True))).orphans
        assert (shown.task, shown.sandboxes, shown.containers, shown.running) == ("web", 1, 1, 1)
        assert shown.reap_at_ns
        assert len(engine.running("web")) == 2
        async with asyncio.timeout(60):
            await service.reap_orphans(pb.ReapOrphansRequest(wait=True, actor="someone"))
        assert list(engine.containers) == [theirs]
        assert [event.actor for event in await ours.history(task_id="web")] == ["someone"]
        assert not (await service.reap_orphans(pb.ReapOrphansRequest())).orphans


async def test_a_deleted_task_leaves_no_orphan(engine: Engine, tmp_path: Path) -> None:
    async with orchestrating(engine, tmp_path) as ours:
        await ours.submit([spec()], actor="test")
        await reach(ours, "web", State.RUNNING)
        await ours.put("web", State.COMPLETED, forget=True, actor="test")
        await gone(ours, "web")
        assert await ours.orphans.list() == []
        assert (await engine.list_pod_sandbox(v1.ListPodSandboxRequest())).items == []
