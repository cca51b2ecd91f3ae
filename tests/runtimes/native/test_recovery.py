"""What an engine finds again, or puts right: after a reboot, after its process was killed, after a monitor was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cri.errors import NotFound
from cri.v1 import api_pb2 as v1
from runtimes.native import recovery
from runtimes.native.config import NativeConfig
from runtimes.native.database import Database
from runtimes.native.ends import Ends
from runtimes.native.locks import Locks
from runtimes.native.monitor import Monitors
from runtimes.native.places import Places
from runtimes.native.records import SCHEMA, Phase, Records, SandboxRecord
from runtimes.native.runtime import NativeRuntime
from runtimes.shared import cgroups
from tests.conformance.kit import WITHIN
from tests.runtimes import calls
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.pods import Pod, until


@contextmanager
def records(config: NativeConfig) -> Iterator[Records]:
    """The rows of an engine, as another process sees them."""
    with closing(Database(Places.of(config).database, [SCHEMA])) as database:
        yield Records.of(database)


def sandbox(sandbox_id: str, phase: Phase) -> SandboxRecord:
    metadata = v1.PodSandboxMetadata(name=sandbox_id, namespace="tests", uid="u")
    request = v1.RunPodSandboxRequest(config=v1.PodSandboxConfig(metadata=metadata))
    return SandboxRecord(sandbox_id, f"name-{sandbox_id}", phase, 1, request)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[tuple[Places, Records]]:
    """A state in which nothing is; ``run`` belongs to no boot yet."""
    places = Places(tmp_path / "root", tmp_path / "run")
    places.containers.mkdir(parents=True)
    with closing(Database(places.database, [SCHEMA])) as database:
        yield places, Records.of(database)


def test_after_a_reboot_no_sandbox_is_ready(empty: tuple[Places, Records]) -> None:
    places, rows = empty
    rows.sandboxes.insert(sandbox("a", Phase.READY))
    assert recovery.notice_reboot(places, rows)
    assert [each.phase for each in rows.sandboxes.all()] == [Phase.STOPPED]


def test_after_a_reboot_nothing_of_the_last_boot_is_left_in_run(empty: tuple[Places, Records]) -> None:
    places, rows = empty
    (places.container("a") / "rootfs").mkdir(parents=True)
    recovery.notice_reboot(places, rows)
    assert list(places.containers.iterdir()) == []


def test_a_reboot_is_noticed_once(empty: tuple[Places, Records]) -> None:
    places, rows = empty
    recovery.notice_reboot(places, rows)
    rows.sandboxes.insert(sandbox("a", Phase.READY))
    assert not recovery.notice_reboot(places, rows)
    assert [each.phase for each in rows.sandboxes.all()] == [Phase.READY]


async def test_a_sandbox_that_a_dead_process_was_making_is_taken_away(config: NativeConfig) -> None:
    with records(config) as rows:
        rows.sandboxes.insert(sandbox("half-made", Phase.MAKING))
        async with await NativeRuntime.open(config):
            assert rows.sandboxes.get("half-made") is None


async def test_a_sandbox_that_another_process_is_making_is_left_alone(config: NativeConfig) -> None:
    with records(config) as rows, closing(Locks(Places.of(config).locks)) as locks:
        rows.sandboxes.insert(sandbox("in-the-making", Phase.MAKING))
        with locks.try_hold("sandbox", "in-the-making"):
            async with await NativeRuntime.open(config):
                assert rows.sandboxes.get("in-the-making") is not None
        rows.sandboxes.delete("in-the-making")


async def test_what_is_being_made_is_nobodys_yet(runtime: NativeRuntime, config: NativeConfig) -> None:
    with records(config) as rows:
        rows.sandboxes.insert(sandbox("in-the-making", Phase.MAKING))
        try:
            with pytest.raises(NotFound):
                await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id="in-the-making"))
            assert not (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items
        finally:
            rows.sandboxes.delete("in-the-making")


async def test_a_start_that_a_dead_process_finished_is_adopted(pod: Pod, config: NativeConfig) -> None:
    container_id = await pod.run("sleep 600")
    with records(config) as rows:
        rows.containers.update(container_id, [Phase.RUNNING], phase=Phase.STARTING)
    async with await NativeRuntime.open(config):
        assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING
    await pod.stop(container_id)
    assert (await pod.exited(container_id)).exit_code == 137


async def test_a_start_that_a_dead_process_did_not_finish_can_be_repeated(pod: Pod, config: NativeConfig) -> None:
    container_id = await pod.create("sleep 600")
    with records(config) as rows:
        rows.containers.update(container_id, [Phase.CREATED], phase=Phase.STARTING)
    async with await NativeRuntime.open(config):
        await pod.start(container_id)
    assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING


async def test_the_bundle_of_a_container_is_whole_at_every_moment_of_a_change_of_its_limits(
    pod: Pod, config: NativeConfig
) -> None:
    container_id = await pod.create("exit 7")
    with (Places.of(config).container(container_id) / "config.json").open() as before:
        limits = v1.LinuxContainerResources(cpu_shares=512)
        request = v1.UpdateContainerResourcesRequest(container_id=container_id, linux=limits)
        await pod.runtime.update_container_resources(request)
        assert json.load(before)["linux"]["resources"].get("cpu", {}).get("shares") != 512
    await pod.start(container_id)
    assert (await pod.exited(container_id)).exit_code == 7


async def test_a_container_whose_monitor_was_killed_has_ended_unseen(pod: Pod, config: NativeConfig) -> None:
    container_id = await pod.run("sleep 1201")
    with records(config) as rows:
        found = rows.containers.get(container_id)
    assert found is not None
    os.kill(found.monitor_pid, signal.SIGKILL)
    ended = await pod.exited(container_id)
    assert (ended.exit_code, ended.reason) == (255, "Unknown")
    await until(lambda: "sleep 1201" not in calls.commands(container_id), "its process is gone")


async def test_whoever_waits_for_an_end_is_told_though_another_process_noted_it(pod: Pod, config: NativeConfig) -> None:
    container_id = await pod.run("sleep 600")
    places = Places.of(config)
    with records(config) as rows:
        ends = Ends(rows, Monitors("conmon", places, WITHIN), places)
        waiting = asyncio.create_task(ends.wait(container_id))
        try:
            await asyncio.sleep(0)  # it has begun to wait
            await pod.stop(container_id)
            await asyncio.wait({waiting}, timeout=WITHIN)
            assert waiting.done()
        finally:
            waiting.cancel()
            await ends.aclose()


async def test_the_cgroup_of_a_sandbox_goes_though_something_is_about_to_end_in_it(
    runtime: NativeRuntime, run_sandbox: RunSandbox, config: NativeConfig
) -> None:
    sandbox_id = await run_sandbox()
    with records(config) as rows:
        found = rows.sandboxes.get(sandbox_id)
    assert found is not None
    place = cgroups.at(found.cgroup)
    folders = {folder for folder in (place.unified, *place.v1.values()) if folder is not None}
    process = await asyncio.create_subprocess_exec("sleep", "0.3")
    for folder in folders:
        (folder / "cgroup.procs").write_text(str(process.pid))
    await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
    await process.wait()
    assert not [folder for folder in folders if folder.exists()]


async def test_a_sandbox_whose_init_was_killed_is_not_ready(
    runtime: NativeRuntime, run_sandbox: RunSandbox, config: NativeConfig
) -> None:
    sandbox_id = await run_sandbox()
    with records(config) as rows:
        found = rows.sandboxes.get(sandbox_id)
        assert found is not None
        os.kill(found.init_pid, signal.SIGKILL)
        await until(lambda: _phase(rows, sandbox_id) is Phase.STOPPED, "it is noted")
    status = await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))
    assert status.status.state == v1.SANDBOX_NOTREADY


def _phase(rows: Records, sandbox_id: str) -> Phase | None:
    found = rows.sandboxes.get(sandbox_id)
    return found.phase if found is not None else None
