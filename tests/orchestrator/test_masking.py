"""What a command or a runtime says of a secret is in no message: not in the history, not in a description, no log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cri.errors import InvalidArgument
from manifests.spec import TaskSpec
from orchestrator.control import Orchestrator
from orchestrator.store import MemoryStore
from orchestrator.task import State
from tests.orchestrator.driving import orchestrating, reach, spec
from tests.orchestrator.engine import Engine

SECRET = "s3cret-value"
PROBE = {"exec": ["ask"], "period": 0.01, "failures": 1}


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def told(
    engine: Engine, tmp_path: Path, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Orchestrator]:
    """An orchestrator that has to have kept the secret to itself in the end."""
    caplog.set_level(logging.DEBUG)
    engine.printed = f"the password is {SECRET}".encode()
    async with orchestrating(engine, tmp_path, store=store) as orchestrator:
        yield orchestrator
        said = [await orchestrator.describe("web"), await store.history(), await store.declarations()]
    assert SECRET not in str([*said, caplog.text])


def keeping(password: Path, **more: Any) -> TaskSpec:
    return spec(secrets={"PASSWORD": {"file": str(password)}}, **more)


async def test_a_probe_that_prints_it(told: Orchestrator, engine: Engine, password: Path) -> None:
    engine.answer = lambda name, command: 1
    await told.submit([keeping(password, probes={"liveness": PROBE})], actor="test")
    task = await reach(told, "web", State.FAILED)
    assert task.message == "liveness probe failed: exited with code 1: the password is ***"


async def test_a_probe_that_prints_it_in_a_container_that_another_process_made(
    engine: Engine, tmp_path: Path, store: MemoryStore, password: Path
) -> None:
    engine.printed = f"the password is {SECRET}".encode()
    async with orchestrating(engine, tmp_path, store=store) as orchestrator:
        await orchestrator.submit([keeping(password, probes={"liveness": PROBE})], actor="test")
        await reach(orchestrator, "web", State.RUNNING)
    engine.answer = lambda name, command: 1
    async with orchestrating(engine, tmp_path, store=store) as orchestrator:
        task = await reach(orchestrator, "web", State.FAILED)
    assert task.message.endswith("the password is ***")


async def test_a_probe_that_prints_it_where_what_is_passed_on_is_cut(
    told: Orchestrator, engine: Engine, password: Path
) -> None:
    engine.answer, engine.printed = lambda name, command: 1, b"x" * 197 + SECRET.encode()
    await told.submit([keeping(password, probes={"liveness": PROBE})], actor="test")
    assert (await reach(told, "web", State.FAILED)).message.endswith("x***")


async def test_a_post_start_hook_that_prints_it(told: Orchestrator, engine: Engine, password: Path) -> None:
    engine.answer = lambda name, command: 1
    await told.submit([keeping(password, hooks={"post_start": ["warm"]})], actor="test")
    task = await reach(told, "web", State.FAILED)
    assert task.message == "hook 'warm' exited with code 1: the password is ***"


async def test_a_pre_stop_hook_that_prints_it(
    told: Orchestrator, engine: Engine, password: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine.answer = lambda name, command: 1
    await told.submit([keeping(password, hooks={"pre_stop": ["drain"]})], actor="test")
    await reach(told, "web", State.RUNNING)
    await told.put("web", State.COMPLETED, actor="test")
    await reach(told, "web", State.COMPLETED)
    assert "the password is ***" in caplog.text


@pytest.mark.parametrize("method", ["create_container", "start_container"])
async def test_a_runtime_that_quotes_the_environment(
    told: Orchestrator, engine: Engine, password: Path, method: str
) -> None:
    engine.fail_next(method, InvalidArgument(f"cannot have PASSWORD={SECRET}"))
    await told.submit([keeping(password)], actor="test")
    assert (await reach(told, "web", State.FAILED)).message == "cannot have PASSWORD=***"


async def test_a_runtime_that_fails_in_no_way_that_it_may(told: Orchestrator, engine: Engine, password: Path) -> None:
    engine.failures["start_container"].append(RuntimeError(f"PASSWORD={SECRET}"))  # type: ignore[arg-type]
    await told.submit([keeping(password)], actor="test")
    assert "PASSWORD=***" in (await reach(told, "web", State.FAILED)).message


async def test_a_container_that_could_not_be_started_and_says_with_what(
    told: Orchestrator, engine: Engine, password: Path
) -> None:
    await told.submit([keeping(password)], actor="test")
    task = await reach(told, "web", State.RUNNING)
    engine.containers[task.container_id].message = f"killed with PASSWORD={SECRET}"
    engine.end(task.container_id, 1)
    assert (await reach(told, "web", State.FAILED)).message == "killed with PASSWORD=***"
