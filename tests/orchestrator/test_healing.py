"""What goes wrong by itself: exits, errors, things that vanish, restarts by policy, adoption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from cri.errors import Internal, InvalidArgument, Unavailable, Unimplemented
from cri.v1 import api_pb2 as v1
from orchestrator.control import Orchestrator
from orchestrator.store import MemoryStore
from orchestrator.task import Item, State
from tests.orchestrator.driving import (
    NO_RELIST,
    eventually,
    orchestrating,
    reach,
    reach_attempt,
    spec,
    states,
    until,
)
from tests.orchestrator.engine import Engine, Key


async def test_an_exit_is_recorded_from_the_event_without_a_relist(engine: Engine, tmp_path: Path) -> None:
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec()], actor="test")
        running = await reach(orchestrator, "web", State.RUNNING)
        engine.end(running.container_id, 0)
        await reach(orchestrator, "web", State.COMPLETED)


async def test_an_exit_whose_event_is_lost_is_found_by_the_relist(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec()], actor="test")
    running = await reach(orchestrator, "web", State.RUNNING)
    engine.deaf = True
    engine.end(running.container_id, 0)
    await reach(orchestrator, "web", State.COMPLETED)


async def test_on_failure_tries_again_with_a_growing_backoff(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 1 if key[2] < 3 else None
    restart = {"policy": "on-failure", "backoff": 0.01, "max_backoff": 0.02}
    await orchestrator.submit([spec(restart=restart)], actor="test")
    task = await reach_attempt(orchestrator, 3)
    assert task.restarts == 3
    assert task.failures == 3
    assert sorted(engine.starts.values()) == [1, 1, 1, 1]


async def test_the_limit_of_restarts_ends_in_failed(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 1
    await orchestrator.submit([spec(restart={"policy": "on-failure", "backoff": 0, "attempts": 2})], actor="test")
    async with asyncio.timeout(60):
        settled = await orchestrator.wait_settled(["web"])
    task = settled["web"]
    assert task is not None
    assert task.state is State.FAILED
    assert sum(engine.starts.values()) == 3
    assert "2 restarts" in task.message


async def test_always_restarts_after_success_without_passing_through_completed(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    engine.exits_at_once = lambda key: 0 if key[2] == 0 else None
    await orchestrator.submit([spec(restart={"policy": "always", "backoff": 0})], actor="test")
    await reach_attempt(orchestrator, 1)
    assert await states(orchestrator, "web") == [
        State.PENDING,
        State.SCHEDULED,
        State.RUNNING,
        State.SCHEDULED,
        State.RUNNING,
    ]


async def test_a_task_that_waits_for_its_next_try_can_be_stopped(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 1
    await orchestrator.submit([spec(restart={"policy": "always", "backoff": 3600})], actor="test")
    await until(orchestrator, lambda task: task.next_try_at is not None)
    assert "next try in" in (await orchestrator.describe("web")).why
    await orchestrator.put("web", State.COMPLETED, actor="test")
    await reach(orchestrator, "web", State.COMPLETED)


async def test_an_error_that_may_pass_is_tried_again_and_shown(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.fail_next("run_pod_sandbox", Unavailable("engine is away"), Unavailable("engine is away"))
    await orchestrator.submit([spec()], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    events = await orchestrator.history(task_id="web")
    assert [event.message for event in events if event.reason == "SandboxError"] == ["engine is away"]
    assert task.message == ""


async def test_an_error_that_stays_fails_the_task_with_its_reason(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.fail_next("create_container", InvalidArgument("mounts: /x is no directory"))
    await orchestrator.submit([spec(restart={"policy": "always", "backoff": 0})], actor="test")
    async with asyncio.timeout(60):
        task = (await orchestrator.wait_settled(["web"]))["web"]
    assert task is not None
    assert (task.state, task.reason, task.message) == (State.FAILED, "CreateError", "mounts: /x is no directory")


async def test_an_attempt_that_cannot_start_counts_for_the_restart_policy(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    engine.fail_next("start_container", Internal("exec: no such file"))
    await orchestrator.submit([spec(restart={"policy": "on-failure", "backoff": 0})], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    assert task.attempt == 1
    assert list(engine.containers) == [task.container_id]


async def test_an_image_that_is_not_here_and_never_pulled_fails(orchestrator: Orchestrator) -> None:
    await orchestrator.submit([spec(image="far/away", pull="never")], actor="test")
    assert (await reach(orchestrator, "web", State.FAILED)).reason == "ImageNotPresent"


async def test_pull_always_pulls_what_is_already_here(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec(pull="always")], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    assert engine.pulled == ["busybox"]


async def test_a_container_that_vanishes_is_replaced_if_the_policy_asks(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    await orchestrator.submit([spec(restart={"policy": "on-failure", "backoff": 0})], actor="test")
    first = await reach(orchestrator, "web", State.RUNNING)
    engine.lose_container(first.container_id)
    second = await reach_attempt(orchestrator, 1)
    assert engine.running("web") == [second.container_id]


async def test_a_sandbox_that_dies_is_replaced_with_its_container(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec(restart={"policy": "always", "backoff": 0})], actor="test")
    first = await reach(orchestrator, "web", State.RUNNING)
    engine.kill_sandbox(first.sandbox_id)
    second = await reach_attempt(orchestrator, 1)
    assert list(engine.sandboxes) == [second.sandbox_id]
    assert list(engine.containers) == [second.container_id]


async def test_what_runs_is_adopted_by_the_next_orchestrator(engine: Engine, tmp_path: Path) -> None:
    store = MemoryStore()
    async with orchestrating(engine, tmp_path, store=store) as first:
        await first.submit([spec()], actor="test")
        before = await reach(first, "web", State.RUNNING)
    async with orchestrating(engine, tmp_path, store=store) as second:
        await asyncio.sleep(0.1)
        assert await second.get("web") == before
    assert list(engine.starts.values()) == [1]


async def test_an_exit_during_the_start_call_is_not_missed(engine: Engine, tmp_path: Path) -> None:
    engine.exits_at_once = lambda key: 4
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec()], actor="test")
        assert (await reach(orchestrator, "web", State.FAILED)).exit_code == 4


async def test_tries_and_attempts_are_timed_by_the_queue_and_not_by_the_relist(engine: Engine, tmp_path: Path) -> None:
    engine.fail_next("create_container", Unavailable("engine is away"))
    engine.exits_at_once = lambda key: 1 if key[2] == 0 else None
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec(restart={"policy": "always", "backoff": 0.01})], actor="test")
        await reach_attempt(orchestrator, 1)


async def test_a_container_that_ran_and_vanished_unseen_is_not_made_again_for_the_same_attempt(
    engine: Engine, tmp_path: Path
) -> None:
    def vanish(key: Key) -> int | None:
        engine.lose_container(*engine.running("web"))
        raise Unavailable("the answer was lost")

    engine.exits_at_once = vanish
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec()], actor="test")
        assert (await reach(orchestrator, "web", State.FAILED)).reason == "ContainerGone"
    assert list(engine.starts.values()) == [1]


async def test_a_runtime_that_breaks_its_contract_does_not_end_the_looking(tmp_path: Path) -> None:
    class Broken(Engine):
        def __init__(self) -> None:
            super().__init__()
            self.bugs = {"events": 1, "list": 0}

        def bug(self, where: str) -> None:
            if self.bugs[where]:
                self.bugs[where] -= 1
                raise RuntimeError("a bug")

        async def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
            self.bug("events")
            async for event in super().get_container_events(request):
                yield event

        async def list_containers(self, request: v1.ListContainersRequest) -> v1.ListContainersResponse:
            self.bug("list")
            return await super().list_containers(request)

    engine = Broken()
    async with orchestrating(engine, tmp_path) as orchestrator:
        await orchestrator.submit([spec()], actor="test")
        running = await reach(orchestrator, "web", State.RUNNING)
        engine.bugs["list"] = 2
        await eventually(lambda: engine.bugs == {"events": 0, "list": 0})
        engine.deaf = True
        engine.end(running.container_id, 0)
        await reach(orchestrator, "web", State.COMPLETED)


async def test_a_queue_that_breaks_is_read_again(engine: Engine, tmp_path: Path) -> None:
    class Broken(MemoryStore):
        bugs = 1

        async def claim(self, worker: str, now: float, limit: int) -> list[Item]:
            if self.bugs:
                self.bugs -= 1
                raise RuntimeError("a bug")
            return await super().claim(worker, now, limit)

    async with orchestrating(engine, tmp_path, store=Broken()) as orchestrator:
        await orchestrator.submit([spec()], actor="test")
        await reach(orchestrator, "web", State.RUNNING)


async def test_an_exit_is_found_soon_on_a_runtime_without_events(tmp_path: Path) -> None:
    class Deaf(Engine):
        async def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
            raise Unimplemented("no events here")
            yield

    engine = Deaf()
    async with orchestrating(engine, tmp_path, settings=NO_RELIST) as orchestrator:
        await orchestrator.submit([spec()], actor="test")
        running = await reach(orchestrator, "web", State.RUNNING)
        engine.end(running.container_id, 0)
        await reach(orchestrator, "web", State.COMPLETED)
