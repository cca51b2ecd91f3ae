"""Tasks that wait for others: started, ready or completed, at every start, and never for each other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cri.errors import InvalidArgument
from manifests.changes import cycle
from orchestrator.control import Orchestrator
from orchestrator.dependencies import unmet
from orchestrator.store import MemoryStore
from orchestrator.task import State, Task
from tests.orchestrator.driving import NO_RELIST, orchestrating, reach, spec, until
from tests.orchestrator.engine import Engine

R, S, C, F = State.RUNNING, State.SCHEDULED, State.COMPLETED, State.FAILED


def db(state: State, *, at: int | None = None, replicas: int | None = None, **more: Any) -> Task:
    name = "db" if at is None else f"db-{at}"
    return Task(id=name, uid="u", spec=spec("db", replicas=replicas), state=state, **more)


def waits(condition: str, *tasks: Task) -> str:
    return unmet(spec(depends_on={"db": condition}), {"db": tasks})


@pytest.mark.parametrize(
    ("condition", "task", "waits_for"),
    [
        ("started", db(R), ""),
        ("started", db(C, exit_code=0), ""),
        ("started", db(S), "db to be started (db is Scheduled)"),
        ("started", db(F, reason="Error"), "db to be started (db is Failed, Error)"),
        ("ready", db(R, ready=True), ""),
        ("ready", db(R), "db to be ready (db is not ready)"),
        ("completed", db(C, exit_code=0), ""),
        ("completed", db(C, exit_code=143, reason="Stopped"), "db to be completed (db is Completed, Stopped)"),
        ("completed", db(R, ready=True), "db to be completed (db is Running)"),
    ],
)
def test_each_condition_is_met_by_its_states(condition: str, task: Task, waits_for: str) -> None:
    assert waits(condition, task) == waits_for


def test_a_task_that_is_not_known_is_waited_for() -> None:
    assert waits("started") == "db to be started (no such task is known)"


def test_a_task_that_is_being_forgotten_counts_as_unknown() -> None:
    assert waits("started", db(R, forget=True)) == "db to be started (no such task is known)"


def test_all_replicas_are_waited_for() -> None:
    one, two = db(R, at=0, replicas=2, ready=True), db(R, at=1, replicas=2)
    assert waits("ready", one) == "db to be ready (1 of 2 are known)"
    assert waits("ready", one, two) == "db to be ready (db-1 is not ready)"
    assert waits("started", one, two) == ""


def test_a_cycle_is_shown() -> None:
    specs = [spec("a", depends_on=["b"]), spec("b", depends_on=["c"]), spec("c", depends_on=["a"]), spec("d")]
    shown = cycle(specs).split(" -> ")
    assert shown[0] == shown[-1]
    assert {*pairwise(shown)} == {("a", "b"), ("b", "c"), ("c", "a")}


def test_no_cycle_is_nothing() -> None:
    assert cycle([spec("a", depends_on=["b"]), spec("b", depends_on=["missing"])]) == ""


async def test_a_cycle_is_refused_also_with_what_is_declared_already(orchestrator: Orchestrator) -> None:
    await orchestrator.submit([spec("a", depends_on=["b"])], actor="test")
    with pytest.raises(InvalidArgument, match=r"depends_on: (a -> b -> a|b -> a -> b)"):
        await orchestrator.submit([spec("b", depends_on=["a"])], actor="test")
    assert [task.id for task in await orchestrator.list()] == ["a"]


def test_a_task_cannot_wait_for_itself() -> None:
    with pytest.raises(ValueError, match="web -> web"):
        spec("web", depends_on=["web"])


async def test_a_dependent_starts_as_soon_as_it_may_without_a_relist(engine: Engine, tmp_path: Path) -> None:
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec("web", depends_on={"job": "completed"}), spec("job")], actor="test")
        job = await reach(orchestrator, "job", R)
        waiting = await until(orchestrator, lambda task: "job is Running" in task.message)
        assert (waiting.state, waiting.reason) == (S, "Waiting")
        assert (await orchestrator.describe("web")).why == "It waits for job to be completed (job is Running)."
        assert not engine.running("web")
        engine.end(job.container_id, 0)
        await reach(orchestrator, "web", R)


async def test_a_dependent_that_was_declared_first_waits_for_the_other_to_be_declared(
    engine: Engine, tmp_path: Path
) -> None:
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec("web", depends_on=["db"])], actor="test")
        await until(orchestrator, lambda task: task.reason == "Waiting")
        await orchestrator.submit([spec("db")], actor="test")
        await reach(orchestrator, "web", R)


async def test_dependencies_hold_at_a_restart_as_well(engine: Engine, tmp_path: Path) -> None:
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec("web", depends_on={"db": "started"}), spec("db")], actor="test")
        await reach(orchestrator, "web", R)
        db = await reach(orchestrator, "db", R)
        engine.end(db.container_id, 1)
        await reach(orchestrator, "db", F)
        assert (await orchestrator.get("web")).state is R
        await orchestrator.put("web", S, actor="test")
        await until(orchestrator, lambda task: task.reason == "Waiting")
        await orchestrator.put("db", S, actor="test")
        await reach(orchestrator, "web", R)


async def test_a_dependent_is_not_forgotten_by_a_process_that_dies(engine: Engine, tmp_path: Path) -> None:
    store = MemoryStore()
    async with orchestrating(engine, tmp_path, store=store, settings=NO_RELIST) as first:
        await first.submit([spec("web", depends_on=["db"])], actor="test")
        await until(first, lambda task: task.reason == "Waiting")
    async with orchestrating(engine, tmp_path, store=store, settings=NO_RELIST) as second:
        await second.submit([spec("db")], actor="test")
        await reach(second, "web", R)
