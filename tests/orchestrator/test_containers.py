"""Several containers a task: init ones before, others beside the main one, all in one sandbox and one attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cri.errors import NotFound
from manifests.spec import TaskSpec
from orchestrator.control import Orchestrator
from orchestrator.reconcile import decide
from orchestrator.steps import Action, Observed, Phase, Record, Remember, SeenContainer, SeenSandbox, StartContainer
from orchestrator.store import MemoryStore
from orchestrator.task import State, Task
from tests.orchestrator.driving import eventually, looked_at, orchestrating, reach, reach_attempt, spec
from tests.orchestrator.engine import Engine, Key


def beside(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, "image": "busybox", **more} for name in names]


def ending(**codes: int) -> Callable[[Key], int | None]:
    """Containers that end at once with a code, by name with _ for -."""
    return lambda key: codes.get(key[3].replace("-", "_"))


def running(engine: Engine) -> Sequence[str]:
    return sorted(engine.containers[each].metadata.name for each in engine.running("web"))


def in_start_order(engine: Engine) -> Sequence[str]:
    return [key[3] for key in engine.starts]


async def fail_first_init(orchestrator: Orchestrator, engine: Engine, restart: dict[str, Any]) -> None:
    engine.exits_at_once = lambda key: {"one": int(key[2] == 0), "two": 0}.get(key[3])
    await orchestrator.submit([spec(init=beside("one", "two"), restart=restart)], actor="test")


async def test_init_containers_end_one_after_the_other_before_the_others_start(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    await orchestrator.submit([spec(init=beside("one", "two"), containers=beside("side"))], actor="test")
    for name in ("one", "two"):
        await eventually(lambda name=name: running(engine) == [name])  # type: ignore[misc]
        engine.end(engine.running("web")[0], 0)
    await reach(orchestrator, "web", State.RUNNING)
    assert in_start_order(engine) == ["one", "two", "side", "web"]


async def test_all_containers_of_a_task_share_one_sandbox(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = ending(one=0)
    await orchestrator.submit([spec(init=beside("one"), containers=beside("side"))], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    assert list(engine.sandboxes) == [task.sandbox_id]
    assert set(engine.homes.values()) == {task.sandbox_id}
    assert task.containers.keys() == {"one", "side", "web"}


async def test_a_failed_init_container_fails_the_attempt(orchestrator: Orchestrator, engine: Engine) -> None:
    await fail_first_init(orchestrator, engine, {"policy": "never"})
    task = await reach(orchestrator, "web", State.FAILED)
    assert (task.exit_code, task.message) == (1, "init container 'one' exited with code 1")
    assert in_start_order(engine) == ["one"]


async def test_the_next_attempt_runs_the_init_containers_again(orchestrator: Orchestrator, engine: Engine) -> None:
    await fail_first_init(orchestrator, engine, {"policy": "on-failure", "backoff": 0})
    await reach_attempt(orchestrator, 1)
    assert in_start_order(engine) == ["one", "one", "two", "web"]


async def test_the_task_is_completed_when_its_main_container_is_and_the_others_are_stopped(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    await orchestrator.submit([spec(containers=beside("side"))], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    engine.end(task.container_id, 0)
    await reach(orchestrator, "web", State.COMPLETED)
    await eventually(lambda: not engine.containers)
    assert [each for each, _ in engine.stops] == [task.containers["side"]]


async def test_when_one_beside_fails_the_rest_is_stopped_and_the_next_attempt_starts_all(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    restart = {"policy": "on-failure", "backoff": 0}
    await orchestrator.submit([spec(containers=beside("side"), restart=restart)], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    engine.end(task.containers["side"], 7)
    after = await reach_attempt(orchestrator, 1)
    assert engine.stops == [(task.container_id, 10)]
    assert set(engine.running("web")) == set(after.containers.values())
    causes = [event.cause for event in await orchestrator.history(task_id="web")]
    assert "container 'side' exited with code 7" in causes


async def test_one_beside_that_ends_well_leaves_the_task_running(engine: Engine, tmp_path: Path) -> None:
    store = MemoryStore()
    async with orchestrating(engine, tmp_path, store=store) as orchestrator:
        await orchestrator.submit([spec(containers=beside("side"))], actor="test")
        task = await reach(orchestrator, "web", State.RUNNING)
        engine.end(task.containers["side"], 0)
        after = await looked_at(orchestrator, store)
    assert (after.state, after.attempt, running(engine)) == (State.RUNNING, 0, ["web"])


async def test_one_beside_that_ends_well_is_started_again_with_the_rest_under_always(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    restart = {"policy": "always", "backoff": 0}
    await orchestrator.submit([spec(containers=beside("side"), restart=restart)], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    engine.end(task.containers["side"], 0)
    await reach_attempt(orchestrator, 1)
    assert running(engine) == ["side", "web"]


async def test_an_init_container_that_was_cleared_away_after_its_end_is_not_missed(
    engine: Engine, tmp_path: Path
) -> None:
    store = MemoryStore()
    engine.exits_at_once = ending(one=0)
    async with orchestrating(engine, tmp_path, store=store) as orchestrator:
        await orchestrator.submit([spec(init=beside("one"))], actor="test")
        task = await reach(orchestrator, "web", State.RUNNING)
        engine.lose_container(task.containers["one"])
        after = await looked_at(orchestrator, store)
    assert (after.state, after.attempt) == (State.RUNNING, 0)


def before_it_runs(*gone: str, ready: bool) -> Action | Record | Remember:
    """What is next for a task that has made its containers and started at most the first, of which some are gone."""
    made = {"one": "1", "web": "2"}
    known = replace(
        Task(id="web", uid="u", spec=spec(init=beside("one")), version=1),
        state=State.SCHEDULED, desired=State.RUNNING, sandbox_id="s", containers=made,
    )  # fmt: skip
    there = tuple(
        SeenContainer(id=made[name], sandbox_id="s", uid="u", attempt=0, phase=Phase.CREATED, name=name)
        for name in made
        if name not in gone
    )
    home = SeenSandbox(id="s", uid="u", attempt=0, ready=ready)
    return decide(State.RUNNING, known, Observed(sandboxes=(home,), containers=there), 0.0)


def test_a_sandbox_that_dies_before_anything_ran_in_it_is_made_again_in_the_same_attempt() -> None:
    assert before_it_runs(ready=False) == Remember({"sandbox_id": "", "containers": {}})


def test_a_sandbox_that_dies_after_an_init_container_ran_ends_the_attempt() -> None:
    assert isinstance(before_it_runs("one", ready=False), Record)


def test_an_init_container_that_was_cleared_away_before_the_others_start_is_not_made_again() -> None:
    assert before_it_runs("one", ready=True) == StartContainer("2")


async def test_a_stop_stops_all_containers(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec(containers=beside("side"), stop={"grace": 3})], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.put("web", State.COMPLETED, actor="test")
    await reach(orchestrator, "web", State.COMPLETED)
    assert sorted(engine.stops) == sorted((each, 3) for each in task.containers.values())


async def test_what_runs_of_several_containers_is_adopted(engine: Engine, tmp_path: Path) -> None:
    store = MemoryStore()
    engine.exits_at_once = ending(one=0)
    async with orchestrating(engine, tmp_path, store=store) as first:
        await first.submit([spec(init=beside("one"), containers=beside("side"))], actor="test")
        before = await reach(first, "web", State.RUNNING)
    async with orchestrating(engine, tmp_path, store=store) as second:
        assert await looked_at(second, store) == before
    assert set(engine.starts.values()) == {1}


async def test_images_of_all_containers_are_pulled_as_each_says(orchestrator: Orchestrator, engine: Engine) -> None:
    containers = [{"name": "side", "image": "far/away"}, {"name": "other", "image": "busybox", "pull": "always"}]
    await orchestrator.submit([spec(containers=containers)], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    assert engine.pulled == ["far/away", "busybox"]


async def test_a_container_can_be_named_for_exec_and_logs(orchestrator: Orchestrator) -> None:
    await orchestrator.submit([spec(containers=beside("side"))], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    assert await orchestrator.container("web", "side") == task.containers["side"]
    assert await orchestrator.container("web") == task.container_id
    with pytest.raises(NotFound, match="no container 'proxy'; it has side, web"):
        await orchestrator.container("web", "proxy")


def test_two_containers_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="container name web is given twice"):
        TaskSpec.model_validate({"name": "web", "image": "busybox", "containers": beside("web")})
