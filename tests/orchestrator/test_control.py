"""The orchestrator as its users have it: tasks submitted, stopped, restarted, watched and forgotten."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from orchestrator.control import Orchestrator
from orchestrator.store import MemoryStore
from orchestrator.task import EventKind, State
from tests.orchestrator.driving import (
    eventually,
    gone,
    orchestrating,
    reach,
    spec,
    states,
    until,
)
from tests.orchestrator.engine import Engine


async def test_a_submitted_task_runs(orchestrator: Orchestrator, engine: Engine) -> None:
    [result] = await orchestrator.submit([spec()], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    assert result.change == "created"
    assert engine.running("web") == [task.container_id]
    assert await states(orchestrator, "web") == [State.PENDING, State.SCHEDULED, State.RUNNING]


async def test_exit_code_zero_completes_and_leaves_nothing_in_the_runtime(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    await orchestrator.submit([spec()], actor="test")
    running = await reach(orchestrator, "web", State.RUNNING)
    engine.end(running.container_id, 0)
    task = await reach(orchestrator, "web", State.COMPLETED)
    await until(orchestrator, lambda task: task.swept)
    assert (task.exit_code, task.reason) == (0, "Completed")
    assert not engine.containers
    assert not engine.sandboxes


async def test_another_exit_code_fails_with_reason_and_code(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 3
    await orchestrator.submit([spec()], actor="test")
    task = await reach(orchestrator, "web", State.FAILED)
    assert (task.exit_code, task.reason) == (3, "Error")
    assert await states(orchestrator, "web") == [State.PENDING, State.SCHEDULED, State.RUNNING, State.FAILED]


async def test_a_stop_uses_the_grace_of_the_spec(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec(stop={"grace": 7})], actor="test")
    running = await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.put("web", State.COMPLETED, actor="test")
    task = await reach(orchestrator, "web", State.COMPLETED)
    assert engine.stops == [(running.container_id, 7)]
    assert (task.reason, task.exit_code) == ("Stopped", 143)


class Stubborn(Engine):
    """Its containers end when they are killed, and not before."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.killed = asyncio.Event()

    async def stop_container(self, request: v1.StopContainerRequest) -> v1.StopContainerResponse:
        self.asked.set()
        if request.timeout == 0:
            self.killed.set()
        await self.killed.wait()
        return await super().stop_container(request)


async def test_a_hurry_cuts_the_grace_of_a_stop_under_way(tmp_path: Path) -> None:
    engine = Stubborn()
    async with asyncio.timeout(60), orchestrating(engine, tmp_path) as orchestrator:
        await orchestrator.submit([spec(stop={"grace": 1000})], actor="test")
        await reach(orchestrator, "web", State.RUNNING)
        stopping = asyncio.create_task(orchestrator.stop_all(forget=False, actor="test"))
        await engine.asked.wait()
        orchestrator.hurry()
        await stopping


async def test_after_a_hurry_no_stop_has_a_grace(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec(stop={"grace": 1000})], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    orchestrator.hurry()
    await orchestrator.stop_all(forget=False, actor="test")
    assert [grace for _, grace in engine.stops] == [0]


async def test_a_stop_during_a_pull_does_not_wait_for_the_pull(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.pull_gate.clear()
    await orchestrator.submit([spec(image="far/away")], actor="test")
    await orchestrator.put("web", State.COMPLETED, actor="test")
    task = await reach(orchestrator, "web", State.COMPLETED)
    assert task.reason == "Cancelled"
    assert not engine.pulled


async def test_a_look_during_a_pull_leaves_the_pull_alone(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.pull_gate.clear()
    await orchestrator.submit([spec(image="far/away")], actor="test")
    await orchestrator.put("web", State.RUNNING, actor="test")
    engine.pull_gate.set()
    await reach(orchestrator, "web", State.RUNNING)
    assert engine.pulled == ["far/away"]


async def test_a_restart_is_a_new_attempt_in_the_same_sandbox(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec()], actor="test")
    first = await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.put("web", State.SCHEDULED, actor="test")
    second = await reach(orchestrator, "web", State.RUNNING)
    assert second.attempt == first.attempt + 1
    assert second.sandbox_id == first.sandbox_id
    assert list(engine.containers) == [second.container_id]


async def test_a_changed_spec_restarts_in_a_new_sandbox(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec()], actor="test")
    first = await reach(orchestrator, "web", State.RUNNING)
    [result] = await orchestrator.submit([spec(args=["-v"])], actor="test")
    second = await reach(orchestrator, "web", State.RUNNING)
    assert result.change == "changed"
    assert list(engine.sandboxes) == [second.sandbox_id]
    assert second.sandbox_id != first.sandbox_id
    assert second.spec.args == ("-v",)


async def test_an_unchanged_spec_changes_nothing(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec()], actor="test")
    first = await reach(orchestrator, "web", State.RUNNING)
    [result] = await orchestrator.submit([spec()], actor="test")
    assert result.change == "unchanged"
    assert await orchestrator.get("web") == first


async def test_a_changed_spec_on_a_completed_task_makes_a_new_task(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec()], actor="test")
    first = await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.put("web", State.COMPLETED, actor="test")
    await reach(orchestrator, "web", State.COMPLETED)
    await orchestrator.submit([spec(args=["-v"])], actor="test")
    second = await reach(orchestrator, "web", State.RUNNING)
    assert second.uid != first.uid
    assert list(engine.containers) == [second.container_id]


async def test_a_deleted_task_leaves_no_record_no_container_and_no_log(
    orchestrator: Orchestrator, engine: Engine, tmp_path: Path
) -> None:
    await orchestrator.submit([spec()], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    assert (tmp_path / "logs" / task.uid).is_dir()
    await orchestrator.put("web", State.COMPLETED, forget=True, actor="test")
    await gone(orchestrator, "web")
    assert not engine.sandboxes
    with pytest.raises(NotFound):
        await orchestrator.get("web")
    await eventually(lambda: not (tmp_path / "logs" / task.uid).exists())


async def test_a_failed_task_can_be_deleted_and_restarted(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 1 if key[2] == 0 else None
    await orchestrator.submit([spec()], actor="test")
    await reach(orchestrator, "web", State.FAILED)
    await orchestrator.put("web", State.SCHEDULED, actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.put("web", State.FAILED, actor="test")
    assert (await reach(orchestrator, "web", State.FAILED)).reason == "GivenUp"
    await orchestrator.put("web", State.COMPLETED, forget=True, actor="test")
    await gone(orchestrator, "web")


@pytest.mark.parametrize("wish", [State.PENDING, State.COMPLETED, State.RUNNING, State.FAILED])
async def test_a_wish_that_the_table_refuses_is_told_and_kept_in_the_history(
    orchestrator: Orchestrator, engine: Engine, wish: State
) -> None:
    engine.exits_at_once = lambda key: 1
    await orchestrator.submit([spec()], actor="test")
    await reach(orchestrator, "web", State.FAILED)
    with pytest.raises(FailedPrecondition, match="from Failed follows Scheduled"):
        await orchestrator.put("web", wish, actor="somebody")
    told = await orchestrator.history(task_id="web")
    assert [(line.target, line.actor) for line in told if line.kind is EventKind.REJECTED] == [(wish, "somebody")]


async def test_stopping_an_unknown_task_says_so(orchestrator: Orchestrator) -> None:
    with pytest.raises(NotFound, match="nosuch"):
        await orchestrator.put("nosuch", State.COMPLETED, actor="test")


async def test_replicas_are_made_and_taken_away(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec(replicas=3)], actor="test")
    for number in range(3):
        await reach(orchestrator, f"web-{number}", State.RUNNING)
    kept = await orchestrator.get("web-0")
    results = await orchestrator.submit([spec(replicas=1)], actor="test")
    await gone(orchestrator, "web-1")
    await gone(orchestrator, "web-2")
    assert [(one.task_id, one.change) for one in results] == [
        ("web-0", "unchanged"),
        ("web-1", "removed"),
        ("web-2", "removed"),
    ]
    now = await orchestrator.get("web-0")
    assert (now.container_id, now.spec.replicas) == (kept.container_id, 1)


async def test_two_specs_for_one_task_are_refused(orchestrator: Orchestrator) -> None:
    with pytest.raises(InvalidArgument, match="web-0"):
        await orchestrator.submit([spec(replicas=1), spec(name="web-0")], actor="test")
    assert await orchestrator.list() == []


async def test_watching_from_any_line_has_no_gap_and_no_repetition(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 0
    await orchestrator.submit([spec(f"task-{number}") for number in range(20)], actor="test")
    await orchestrator.wait_settled([f"task-{number}" for number in range(20)])
    seen: list[int] = []
    async with asyncio.timeout(60), aclosing(orchestrator.watch(7)) as events:
        async for event in events:
            seen.append(event.seq)
            if event.seq == 70:
                break
    assert seen == list(range(8, 71))


async def test_a_watch_of_a_quiet_task_outlives_the_history_behind_it(engine: Engine, tmp_path: Path) -> None:
    store = MemoryStore(history=50)
    engine.exits_at_once = lambda key: 0
    async with orchestrating(engine, tmp_path, store=store) as orchestrator:
        await orchestrator.submit([spec("quiet")], actor="test")
        async with asyncio.timeout(60), aclosing(orchestrator.watch(task_id="quiet")) as events:
            before = [await anext(events)]
            while before[-1].target is not State.COMPLETED:
                before.append(await anext(events))
            coming = asyncio.create_task(anext(events))
            for number in range(20):
                await orchestrator.submit([spec(f"task-{number}")], actor="test")
            await orchestrator.wait_settled([f"task-{number}" for number in range(20)])
            assert (await orchestrator.history())[0].seq > before[-1].seq + 1
            await orchestrator.put("quiet", State.COMPLETED, forget=True, actor="test")
            assert (await coming).kind is EventKind.NOTE


async def test_stopping_all_leaves_nothing(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 1 if key[0] == "task-1" else None
    await orchestrator.submit([spec(f"task-{number}") for number in range(5)], actor="test")
    async with asyncio.timeout(60):
        await orchestrator.stop_all(forget=True, actor="test")
    assert await orchestrator.list() == []
    assert not engine.sandboxes
    assert not engine.containers
