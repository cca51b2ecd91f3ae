"""Sandboxes on CNI plug-ins whose engine was killed while it made them."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native import stragglers
from runtimes.native.config import NativeConfig
from runtimes.native.runtime import NativeRuntime
from tests.runtimes.native.network.recorder import Plugins
from tests.runtimes.pods import until

CONFIG = v1.PodSandboxConfig(metadata=v1.PodSandboxMetadata(name="half", namespace="tests", uid="u"))

MAKING = """
import asyncio, json, sys, cri
from cri.v1 import api_pb2 as v1

async def main():
    config = v1.PodSandboxConfig.FromString(bytes.fromhex(sys.argv[2]))
    async with cri.open("native", **json.loads(sys.argv[1])) as runtime:
        made = await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=config))
        await runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=made.pod_sandbox_id))

asyncio.run(main())
"""
"""An engine that makes and stops a sandbox; it is killed meanwhile."""

MADE = [("ADD", "first"), ("ADD", "second")]


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    made = Plugins(tmp_path)
    made.install()
    return made


@pytest.fixture
def on_cni(config: NativeConfig, plugins: Plugins) -> NativeConfig:
    """The run's engine, with another default network."""
    return config.model_copy(update={"network": config.network.model_copy(update=plugins.settings)})


async def half_make(config: NativeConfig, plugins: Plugins) -> str:
    """Kill an engine while the second plug-in connects its sandbox, whose id this is."""
    plugins.last("second", "ADD")
    return await die(config, plugins, MADE)


async def die(config: NativeConfig, plugins: Plugins, order: list[tuple[str, str]]) -> str:
    """Kill an engine once these plug-ins were called for its sandbox, whose id this is."""
    words = [sys.executable, "-c", MAKING, config.model_dump_json(), CONFIG.SerializeToString().hex()]
    process = await asyncio.create_subprocess_exec(*words, cwd=Path(__file__).parents[3])
    try:
        await until(lambda: plugins.order() == order, "it has come so far")
    finally:
        process.kill()
        await process.wait()
    return str(plugins.calls()[0]["CNI_CONTAINERID"])


async def open_again(config: NativeConfig) -> None:
    async with await NativeRuntime.open(config):
        pass


def deleted(plugins: Plugins, sandbox_id: str) -> list[str]:
    calls = plugins.calls()
    assert {call["CNI_CONTAINERID"] for call in calls} == {sandbox_id}
    return [call["plugin"] for call in calls if call["CNI_COMMAND"] == "DEL"]


async def test_plug_ins_take_back_what_a_killed_engine_was_making(on_cni: NativeConfig, plugins: Plugins) -> None:
    sandbox_id = await half_make(on_cni, plugins)
    async with await NativeRuntime.open(on_cni):
        assert deleted(plugins, sandbox_id) == ["second", "first"]


async def test_a_plug_in_that_outlives_its_engine_is_seen_out_before_anything_is_taken_back(
    on_cni: NativeConfig, plugins: Plugins
) -> None:
    plugins.outlive(True)
    await half_make(on_cni, plugins)
    opening = asyncio.create_task(open_again(on_cni))
    await asyncio.wait({opening}, timeout=1)  # it has looked
    plugins.outlive(False)
    await opening
    await until(lambda: "ADD second" in plugins.ends(), "it is through")
    assert plugins.ends() == ["ADD first", "ADD second", "DEL second", "DEL first"]


async def test_a_plug_in_that_takes_back_for_a_killed_engine_is_seen_out_before_it_is_told_again(
    on_cni: NativeConfig, plugins: Plugins
) -> None:
    plugins.last("second", "DEL")
    plugins.outlive(True)
    sandbox_id = await die(on_cni, plugins, [*MADE, ("DEL", "second")])
    plugins.last("second", "DEL", False)
    opening = asyncio.create_task(open_again(on_cni))
    await asyncio.wait({opening}, timeout=1)  # it has looked
    assert deleted(plugins, sandbox_id) == ["second"]
    plugins.outlive(False)
    await opening
    assert deleted(plugins, sandbox_id) == ["second", "second", "first"]
    async with await NativeRuntime.open(on_cni) as runtime:
        await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))


async def test_a_plug_in_that_outlives_its_engine_for_too_long_is_killed(
    on_cni: NativeConfig, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stragglers, "PATIENCE", 0.3)
    plugins.outlive(True)
    sandbox_id = await half_make(on_cni, plugins)
    await open_again(on_cni)
    plugins.outlive(False)
    assert plugins.ends() == ["ADD first", "DEL second", "DEL first"]
    assert not stragglers.with_variable("CNI_CONTAINERID", sandbox_id)


async def test_an_engine_opens_though_a_plug_in_cannot_take_back_and_asks_again_the_next_time(
    on_cni: NativeConfig, plugins: Plugins, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox_id = await half_make(on_cni, plugins)
    plugins.fail("first", "DEL")
    with caplog.at_level(logging.WARNING):
        async with await NativeRuntime.open(on_cni) as runtime:
            (left,) = (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items
    assert (left.id, left.state) == (sandbox_id, v1.SANDBOX_NOTREADY)
    assert "no luck" in caplog.text
    plugins.succeed("first", "DEL")
    async with await NativeRuntime.open(on_cni):
        assert deleted(plugins, sandbox_id)[-2:] == ["second", "first"]
    tries = len(plugins.calls())
    async with await NativeRuntime.open(on_cni):
        assert len(plugins.calls()) == tries
