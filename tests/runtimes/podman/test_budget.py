"""How many calls of the engine the life of a container costs, as docs/performance.md has it; a new call is to be worth
its place. And that what is known without a call is known rightly."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.podman import exit_files
from runtimes.podman.engine import Engine
from runtimes.podman.exit_files import ExitFiles
from runtimes.podman.runtime import PodmanRuntime
from runtimes.shared import seen
from tests.host.podmans import PodmanEngine, call
from tests.runtimes.behaviour.events import CREATED, DELETED, STARTED, STOPPED, listening
from tests.runtimes.behaviour.hand import EngineHand
from tests.runtimes.pods import Pod

LIFE = {
    "CreateContainer": ["POST create"],
    "StartContainer": ["POST start"],
    "StopContainer": ["POST stop"],
    "RemoveContainer": ["DELETE"],
}
LIMITED = v1.LinuxContainerConfig(resources=v1.LinuxContainerResources(memory_limit_in_bytes=1 << 26))
HOLD = "exec sleep 600"


class Spent:
    """What each step asked the engine for, in no order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.by_step: dict[str, list[str]] = {}

    async def on(self, step: str, work: Awaitable[Any]) -> Any:
        self.calls.clear()
        answer = await work
        self.by_step[step] = sorted(self.calls)
        return answer


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> Spent:
    # However busy the host is.
    monkeypatch.setattr(seen, "LASTS", 600.0)
    monkeypatch.setattr(exit_files, "PATIENCE", 60.0)
    found = Spent()
    request = Engine._request

    async def noted(self: Engine, method: str, path: str, **options: Any) -> Any:
        found.calls.append(method if method == "DELETE" else f"{method} {path.rpartition('/')[2]}")
        return await request(self, method, path, **options)

    monkeypatch.setattr(Engine, "_request", noted)
    return found


async def live(pod: Pod, spent: Spent, **fields: Any) -> Mapping[str, list[str]]:
    """What a life costs once the first one is over."""
    await pod.remove(await pod.run(HOLD, "first"))
    container_id = await spent.on("CreateContainer", pod.create(HOLD, **fields))
    await spent.on("StartContainer", pod.start(container_id))
    await spent.on("StopContainer", pod.stop(container_id))
    await spent.on("RemoveContainer", pod.remove(container_id))
    return spent.by_step


async def test_a_container_costs_four_calls(pod: Pod, spent: Spent) -> None:
    assert await live(pod, spent) == LIFE


async def test_one_that_may_run_out_of_memory_is_made_before_it_is_started(pod: Pod, spent: Spent) -> None:
    life = await live(pod, spent, linux=LIMITED)
    assert life == LIFE | {"StartContainer": ["POST init", "POST start"]}


async def test_a_sandbox_with_a_container_costs_a_look_at_each_to_who_hears_of_them(
    runtime: PodmanRuntime, spent: Spent, tmp_path: Path
) -> None:
    async with listening(runtime) as heard:
        first = await Pod.make(runtime, tmp_path / "first")
        await first.run(HOLD)
        await first.aclose()
        await heard.exactly(first.sandbox_id, CREATED, STARTED, STOPPED, DELETED)
        spent.calls.clear()
        pod = await Pod.make(runtime, tmp_path / "second")
        await heard.exactly(pod.sandbox_id, CREATED, STARTED)
        container_id = await pod.run(HOLD)
        await heard.exactly(container_id, CREATED, STARTED)
        calls = sorted(spent.calls)
        await pod.aclose()
    assert calls.count("GET json") <= 4
    made = ["GET exists", "POST create", "POST create", "POST start", "POST start"]
    assert [each for each in calls if each != "GET json"] == made


async def test_a_container_that_went_before_its_start_is_not_found(pod: Pod, hand: EngineHand) -> None:
    container_id = await pod.create(HOLD)
    hand.remove(container_id)
    with pytest.raises(NotFound):
        await pod.start(container_id)


async def test_no_container_is_made_in_a_sandbox_that_was_stopped_behind_the_runtimes_back(
    pod: Pod, podman_engine: PodmanEngine
) -> None:
    await pod.create(HOLD, "first")
    call(podman_engine.address, "POST", f"/pods/{pod.sandbox_id}/kill", {"signal": "KILL"})
    with pytest.raises(FailedPrecondition):
        await pod.create(HOLD, "second")


async def test_a_paused_container_is_stopped(pod: Pod, hand: EngineHand) -> None:
    container_id = await pod.run(HOLD)
    hand.pause(container_id)
    await pod.stop(container_id)
    assert (await pod.status(container_id)).state == v1.CONTAINER_EXITED


async def test_an_end_that_no_monitor_notes_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exit_files, "PATIENCE", 0.0)
    assert not await ExitFiles().noted("c")


async def test_a_note_is_seen_where_the_monitor_was_told_to_leave_it(tmp_path: Path) -> None:
    files = ExitFiles()
    files._directory = tmp_path
    (tmp_path / "c").touch()
    assert await files.noted("c")
