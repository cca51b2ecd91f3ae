"""Opening a fake by name and by settings, and closing it."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest

import cri
from cri import plugins
from cri.errors import InvalidArgument, NotFound, Unavailable
from cri.rpc import RPCS
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes import fake
from runtimes.fake import FakeConfig
from runtimes.fake.runtime import FakeRuntime
from tests.runtimes.fake.calls import Calls


async def test_the_script_can_come_from_the_configuration() -> None:
    section = {
        "calls": [{"call": "PullImage", "image": "bad:*", "error": "NOT_FOUND", "message": "no such tag"}],
        "preloaded": ["busybox"],
    }
    async with cri.open("fake", runtimes={"fake": section}) as runtime:
        assert len((await runtime.list_images(v1.ListImagesRequest())).images) == 1
        with pytest.raises(NotFound, match="no such tag"):
            await runtime.pull_image(v1.PullImageRequest(image=v1.ImageSpec(image="bad:1")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.toml", '[[containers]]\nname = "job"\nexit_code = 3\n'),
        ("s.yaml", "containers:\n- {name: job, exit_code: 3}\n"),
        ("s.json", '{"containers": [{"name": "job", "exit_code": 3}]}'),
    ],
)
async def test_the_script_can_be_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    async with FakeRuntime.open(FakeConfig(script_file=tmp_path / name, preloaded=("busybox",))) as runtime:
        assert (await Calls(runtime, tmp_path).done("true", name="job")).exit_code == 3


def test_the_settings_in_the_readme_are_right() -> None:
    text = Path(fake.__file__).with_name("README.md").read_text()
    section = tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])["runtimes"]["fake"]
    assert FakeConfig.model_validate(section).containers[0].exit_code == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls": [{"call": "PullImages"}]},
        {"calls": [{"call": "PullImage", "error": "BROKEN"}]},
        {"containers": [{"exit_code": 300}]},
        {"containers": [{"after": 2}]},
        {"images": [{"name": "UPPER CASE"}]},
        {"images": [{"name": "x", "stop_signal": "SIGNOTHING"}]},
        {"subnets": ["10.0.0.0/99"]},
        {"named_networks": "10.0.0.0/25"},
        {"preloaded": [":"]},
        {"script_file": "/none.toml"},
        {"nonsense": 1},
    ],
)
async def test_a_wrong_setting_is_refused_with_its_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        async with cri.open("fake", **wrong):
            pass


async def test_a_look_at_a_fake_says_what_is_wrong_with_its_script(tmp_path: Path) -> None:
    backend = plugins.find("fake")
    assert (await backend.probe(FakeConfig())).available
    probe = await backend.probe(FakeConfig(script_file=tmp_path / "none.toml"))
    assert not probe.available
    assert "none.toml" in probe.detail


def test_auto_never_takes_a_fake() -> None:
    assert plugins.find("fake").auto_rank is None


def test_every_rpc_is_there_and_keeps_its_words() -> None:
    for rpc in RPCS:
        assert getattr(FakeRuntime, rpc.attribute).__doc__ == getattr(Runtime, rpc.attribute).__doc__


async def test_two_fakes_know_nothing_of_each_other() -> None:
    async with cri.open("fake", preloaded=["busybox"]) as one, cri.open("fake") as other:
        assert len((await one.list_images(v1.ListImagesRequest())).images) == 1
        assert not (await other.list_images(v1.ListImagesRequest())).images


async def test_a_request_of_another_call_is_a_mistake_in_the_program() -> None:
    async with FakeRuntime.open() as runtime:
        with pytest.raises(TypeError, match="VersionRequest"):
            await runtime.version(v1.StatusRequest())  # type: ignore[arg-type]


async def test_closing_ends_processes_events_and_calls(no_task_left: None, tmp_path: Path) -> None:
    runtime = FakeRuntime.open(FakeConfig(preloaded=("busybox",)))
    calls = Calls(runtime, tmp_path)
    events = runtime.get_container_events(v1.GetEventsRequest())
    container = await calls.run("sh", "-c", "sleep 1000 & sleep 1000 | cat")
    waiting = asyncio.ensure_future(calls.exec(container, "sleep", "1000"))
    await asyncio.sleep(0)
    await runtime.aclose()
    await runtime.aclose()
    assert (await waiting).exit_code == 137
    assert [each async for each in events][-1].container_event_type == v1.CONTAINER_STOPPED_EVENT
    with pytest.raises(Unavailable, match="closed"):
        await runtime.version(v1.VersionRequest())
