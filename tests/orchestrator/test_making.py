"""What is put together when a container is made, and changed or run while it lives: environment, secrets, volumes,
hooks, limits."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition, Unimplemented
from manifests import manifest
from manifests.environment import environment
from manifests.spec import TaskSpec
from orchestrator.control import Orchestrator
from orchestrator.store import MemoryStore
from orchestrator.task import State
from tests.orchestrator.driving import eventually, gone, orchestrating, reach, reach_attempt, spec, until
from tests.orchestrator.engine import Engine

SECRET = "s3cret-value"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n")
    return path


# --- environment ---------------------------------------------------------------------------------------------


def test_files_come_first_then_what_is_said_then_secrets(tmp_path: Path, secret: Path) -> None:
    for name, text in {"one": "# a comment\nA=1\nB=1\n\nC=1\n", "two": "B=2\nQ='x = y' \n"}.items():
        (tmp_path / name).write_text(text)
    said = spec(
        env_files=[str(tmp_path / "one"), str(tmp_path / "two")],
        env={"C": "said"},
        secrets={"PASSWORD": {"file": str(secret)}, "TOKEN": {"env": "OURS"}},
    )
    assert environment(said, {"OURS": "t"}) == {
        "A": "1",
        "B": "2",
        "Q": "'x = y' ",
        "C": "said",
        "PASSWORD": SECRET,
        "TOKEN": "t",
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"env_files": ["{}/missing"]}, "env_files: {}/missing: No such file or directory"),
        ({"env_files": ["{}/wrong"]}, "env_files: {}/wrong:1: write KEY=VALUE"),
        ({"secrets": {"A": {"file": "{}/missing"}}}, "secrets.A: {}/missing: No such file or directory"),
        ({"secrets": {"A": {"file": "{}/binary"}}}, "secrets.A: {}/binary is not UTF-8 text"),
        ({"secrets": {"A": {"env": "NOSUCH"}}}, "secrets.A: the orchestrator's environment has no variable 'NOSUCH'"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_value(tmp_path: Path, said: dict[str, Any], expected: str) -> None:
    (tmp_path / "wrong").write_text(f"{SECRET}\n")
    (tmp_path / "binary").write_bytes(SECRET.encode() + b"\xff")
    placed = spec(**json.loads(json.dumps(said).replace("{}/", f"{tmp_path}/")))
    with pytest.raises(FailedPrecondition) as caught:
        environment(placed, {})
    assert caught.value.message == expected.format(tmp_path)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_secret_reaches_the_container_and_nothing_else(
    engine: Engine, tmp_path: Path, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = MemoryStore()
    async with orchestrating(engine, tmp_path, store=store) as orchestrator:
        await orchestrator.submit([spec(secrets={"PASSWORD": {"file": str(secret)}})], actor="test")
        task = await reach(orchestrator, "web", State.RUNNING)
        config = engine.configs[task.container_id]
        assert [(one.key, one.value) for one in config.envs] == [("PASSWORD", SECRET.encode())]
        config.ClearField("envs")
        told = [config, *engine.sandboxes.values(), *engine.containers.values(), await orchestrator.describe("web")]
        told += [await store.history(), await store.declarations(), caplog.text]
    assert SECRET not in str(told)


async def test_a_secret_that_is_not_there_fails_the_attempt_and_says_which(orchestrator: Orchestrator) -> None:
    await orchestrator.submit([spec(secrets={"A": {"file": "/nonexistent/a"}})], actor="test")
    task = await reach(orchestrator, "web", State.FAILED)
    assert (task.reason, task.message) == ("CreateError", "secrets.A: /nonexistent/a: No such file or directory")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"secrets": {"A": {}}}, "give file or env"),
        ({"secrets": {"A": {"file": "/a", "env": "B"}}}, "give file or env"),
        ({"env": {"A": "1"}, "secrets": {"A": {"env": "B"}}}, "A is given in env and in secrets"),
        ({"mounts": [{"target": "/x"}]}, "give a source or a volume"),
        ({"mounts": [{"target": "/x", "source": "/y", "volume": "z"}]}, "give a source or a volume"),
        ({"mounts": [{"target": "/x", "volume": "../z"}]}, "pattern"),
        ({"security": {"capabilities": {"add": ["net_admin"]}}}, "pattern"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        spec(**said)


def test_paths_of_every_container_are_taken_from_the_manifests_folder() -> None:
    fields = "env_files: [./a.env], secrets: {A: {file: ./a}, B: {env: B}}, mounts: ['./data:/data']"
    text = f"{{name: web, image: i, {fields}, containers: [{{name: side, image: i, {fields}}}]}}"
    [found] = manifest.parse(text, "yaml", directory="/srv")
    for container in found.everyone:
        assert container.env_files == ("/srv/a.env",)
        assert (container.secrets["A"].file, container.mounts[0].source) == ("/srv/a", "/srv/data")


# --- volumes -------------------------------------------------------------------------------------------------


async def test_a_volume_is_shared_by_the_containers_and_goes_with_the_task(
    orchestrator: Orchestrator, engine: Engine, tmp_path: Path
) -> None:
    mounts = [{"volume": "scratch", "target": "/x"}]
    side = {"name": "side", "image": "busybox", "mounts": mounts}
    await orchestrator.submit([spec(mounts=mounts, containers=[side])], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    folder = tmp_path / "volumes" / task.uid / "scratch"
    paths = {one.host_path for each in task.containers.values() for one in engine.configs[each].mounts}
    assert paths == {str(folder)}
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o777, 0o700)
    await orchestrator.put("web", State.COMPLETED, forget=True, actor="test")
    await gone(orchestrator, "web")
    assert not folder.parent.exists()


async def test_a_volume_outlives_an_attempt(orchestrator: Orchestrator, engine: Engine, tmp_path: Path) -> None:
    mounts = [{"volume": "scratch", "target": "/x"}]
    await orchestrator.submit([spec(mounts=mounts, restart={"policy": "always", "backoff": 0})], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    kept = tmp_path / "volumes" / task.uid / "scratch" / "kept"
    kept.write_text("kept")
    engine.end(task.container_id, 1)
    await reach_attempt(orchestrator, 1)
    assert kept.read_text() == "kept"


async def test_the_files_of_a_task_that_nobody_knows_go(engine: Engine, tmp_path: Path) -> None:
    left = [tmp_path / kind / "nobody" / "x" for kind in ("logs", "volumes")]
    for folder in left:
        folder.mkdir(parents=True)
    async with orchestrating(engine, tmp_path):
        await eventually(lambda: not any(folder.exists() for folder in left))


# --- hooks ---------------------------------------------------------------------------------------------------


async def test_a_post_start_hook_runs_once_also_where_the_task_is_asked_for_meanwhile(
    orchestrator: Orchestrator, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, done, enter = asyncio.Event(), asyncio.Event(), engine.enter

    async def slowly(method: str) -> None:
        await enter(method)
        if method == "exec_sync":
            running.set()
            await done.wait()

    monkeypatch.setattr(engine, "enter", slowly)
    await orchestrator.submit([spec(hooks={"post_start": ["warm", "up"]})], actor="test")
    await running.wait()
    await orchestrator.put("web", State.RUNNING, actor="test")
    done.set()
    await reach(orchestrator, "web", State.RUNNING)
    assert len(engine.commands) == 1


async def test_a_post_start_hook_runs_once_before_the_task_runs(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([spec(hooks={"post_start": ["warm", "up"]})], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    assert engine.commands == [("web", ("warm", "up"), 0)]


async def test_a_failed_post_start_hook_fails_the_attempt(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.answer = lambda name, command: int(sum(engine.starts.values()) == 1)
    restart = {"policy": "on-failure", "backoff": 0}
    await orchestrator.submit([spec(hooks={"post_start": ["warm"]}, restart=restart)], actor="test")
    await reach_attempt(orchestrator, 1)
    events = {event.reason: event.message for event in await orchestrator.history(task_id="web")}
    assert events["PostStartHookError"] == "hook 'warm' exited with code 1: as scripted"


async def test_a_pre_stop_hook_runs_before_the_stop_and_within_the_grace(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    await orchestrator.submit([spec(hooks={"pre_stop": ["drain"]}, stop={"grace": 7})], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.put("web", State.COMPLETED, actor="test")
    await reach(orchestrator, "web", State.COMPLETED)
    assert engine.commands == [("web", ("drain",), 7)]
    assert engine.stops == [(task.container_id, 7)]


async def test_a_failed_pre_stop_hook_does_not_keep_a_container_alive(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    engine.answer = lambda name, command: 1
    await orchestrator.submit([spec(hooks={"pre_stop": ["drain"]})], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.put("web", State.COMPLETED, actor="test")
    await reach(orchestrator, "web", State.COMPLETED)


async def test_a_container_that_a_new_spec_replaces_still_runs_its_own_pre_stop_hook(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    await orchestrator.submit([spec(hooks={"pre_stop": ["old"]})], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.submit([spec(hooks={"pre_stop": ["new"]})], actor="test")
    await reach_attempt(orchestrator, 1)
    assert [command for _, command, _ in engine.commands] == [("old",)]


# --- limits --------------------------------------------------------------------------------------------------


def limited(memory: str | None, **more: Any) -> TaskSpec:
    return spec(resources={"memory": memory} if memory else {}, **more)


async def test_other_limits_are_given_to_the_running_container_without_a_restart(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    side = {"name": "side", "image": "busybox"}
    await orchestrator.submit([limited("64Mi", containers=[side])], actor="test")
    before = await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.submit([limited("128Mi", containers=[side])], actor="test")
    after = await until(orchestrator, lambda task: bool(engine.updates) and not task.resized)
    assert [(name, one.memory_limit_in_bytes) for name, one in engine.updates] == [("web", 128 * 2**20)]
    assert (after.attempt, after.containers) == (0, before.containers)
    assert after.spec.resources.memory == 128 * 2**20


async def test_limits_that_cannot_be_changed_while_it_runs_start_it_anew(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    engine.fail_next("update_container_resources", Unimplemented("not here"))
    await orchestrator.submit([limited("64Mi")], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.submit([limited("128Mi")], actor="test")
    after = await reach_attempt(orchestrator, 1)
    assert engine.configs[after.container_id].linux.resources.memory_limit_in_bytes == 128 * 2**20
    causes = [event.cause for event in await orchestrator.history(task_id="web")]
    assert "its limits cannot be changed while it runs: not here" in causes


async def test_a_limit_that_is_taken_away_starts_it_anew(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([limited("64Mi")], actor="test")
    await reach(orchestrator, "web", State.RUNNING)
    await orchestrator.submit([limited(None)], actor="test")
    await reach_attempt(orchestrator, 1)
    assert not engine.updates


async def test_a_task_that_failed_is_tried_again_with_other_limits(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.exits_at_once = lambda key: 137 if key[2] == 0 else None
    await orchestrator.submit([limited("64Mi")], actor="test")
    await reach(orchestrator, "web", State.FAILED)
    await orchestrator.submit([limited("128Mi")], actor="test")
    await reach_attempt(orchestrator, 1)
