"""Starts of containers, and of sandboxes' inits, whose engine was killed meanwhile: a container is started at most
once, and what goes on without its engine is seen out."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.oci_runtime import find_program
from runtimes.native.places import Places
from runtimes.native.runtime import NativeRuntime
from tests.host import processes
from tests.host.images import BUSYBOX
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.native import dying
from tests.runtimes.pods import Pod, until

LET_GO = "oci_runtime:_open_gate:7"
"""The process runs, and nothing is noted of that."""


async def die_starting(config: NativeConfig, container_id: str, point: str) -> bool:
    return await dying.die(config, "start_container", v1.StartContainerRequest(container_id=container_id), point)


async def open_again(config: NativeConfig) -> None:
    async with await NativeRuntime.open(config):
        pass


async def test_a_container_that_has_ended_when_its_engine_comes_back_is_told_to_have(
    pod: Pod, config: NativeConfig
) -> None:
    container_id = await pod.create("exit 7")
    before = time.time_ns()
    assert await die_starting(config, container_id, LET_GO)
    await until((Places.of(config).exits / container_id).exists, "it has ended")
    await open_again(config)
    status = await pod.status(container_id)
    assert (status.state, status.exit_code, status.reason) == (v1.CONTAINER_EXITED, 7, "Error")
    assert before < status.started_at <= status.finished_at < time.time_ns()


@pytest.mark.parametrize("line", range(3, 7))
async def test_a_container_runs_once_or_has_failed_wherever_the_engine_that_lets_it_go_is_killed(
    pod: Pod, config: NativeConfig, line: int
) -> None:
    container_id = await pod.create("echo ran; exit 7")
    await die_starting(config, container_id, f"oci_runtime:_open_gate:{line}")
    await open_again(config)
    status = await pod.exited(container_id)
    assert (status.exit_code, pod.texts()) == (7, [b"ran"]) or status.reason == "StartError"
    with pytest.raises(FailedPrecondition):
        await pod.start(container_id)
    assert pod.texts() in ([], [b"ran"])


async def test_an_engine_that_is_there_already_does_not_start_what_a_killed_one_did(
    pod: Pod, config: NativeConfig
) -> None:
    container_id = await pod.create("echo ran; sleep 600")
    assert await die_starting(config, container_id, LET_GO)
    with pytest.raises(FailedPrecondition, match="running"):
        await pod.start(container_id)
    await pod.logged(b"ran")
    assert pod.texts() == [b"ran"]


async def test_an_engine_that_is_there_already_stops_what_a_killed_one_started(pod: Pod, config: NativeConfig) -> None:
    container_id = await pod.create("sleep 600")
    assert await die_starting(config, container_id, LET_GO)
    await pod.stop(container_id)
    status = await pod.status(container_id)
    assert (status.state, status.exit_code) == (v1.CONTAINER_EXITED, 137)


@pytest.mark.parametrize("point", ["container_life:ContainerLife._note_process", "oci_runtime:OciRuntime.start"])
async def test_a_container_that_is_said_to_be_startable_still_has_the_mounts_that_it_is_made_of(
    runtime: NativeRuntime, run_sandbox: RunSandbox, config: NativeConfig, tmp_path: Path, point: str
) -> None:
    mapping = v1.IDMapping(container_id=0, host_id=100000, length=65536)
    users = v1.UserNamespace(mode=v1.POD, uids=[mapping], gids=[mapping])
    options = v1.NamespaceOption(pid=v1.CONTAINER, userns_options=users)
    linux = v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(namespace_options=options))
    container = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="c"),
        image=v1.ImageSpec(image=BUSYBOX),
        command=["true"],
        mounts=[v1.Mount(host_path=str(tmp_path), container_path="/v", mount_options=["nosuid"])],
        linux=v1.LinuxContainerConfig(security_context=v1.LinuxContainerSecurityContext(namespace_options=options)),
    )
    request = v1.CreateContainerRequest(pod_sandbox_id=await run_sandbox(linux=linux), config=container)
    container_id = (await runtime.create_container(request)).container_id
    assert await die_starting(config, container_id, point)
    await open_again(config)
    asked = v1.ContainerStatusRequest(container_id=container_id)
    status = (await runtime.container_status(asked)).status
    if status.state == v1.CONTAINER_CREATED:
        await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    else:
        assert status.reason == "StartError"


class Slow:
    """An OCI runtime that takes until it is told to go on over one thing."""

    def __init__(self, directory: Path, verb: str) -> None:
        self._go = directory / "go"
        self.program = directory / "slow"
        self.program.write_text(
            f'#!/bin/sh\ncase "$*" in *" {verb} "*) while [ ! -e {self._go} ]; do sleep 0.01; done;; esac\n'
            f'exec {find_program("crun", "crun")} "$@"\n'
        )
        self.program.chmod(0o755)

    def go_on(self) -> None:
        self._go.touch()

    def of(self, config: NativeConfig) -> NativeConfig:
        return config.model_copy(update={"runtime": str(self.program)})

    def at_work(self, config: NativeConfig, verb: str) -> list[int]:
        root = str(Places.of(config).oci_root)
        commands = {pid: processes.command(pid) for pid in processes.pids()}
        return [pid for pid, command in commands.items() if root in command and verb in command]


async def recover_from(slow: Slow, verb: str, config: NativeConfig) -> None:
    """Open an engine while the OCI runtime still does what a dead one told it, and have that go on then."""
    assert slow.at_work(config, verb)
    opening = asyncio.create_task(open_again(config))
    await asyncio.wait({opening}, timeout=1)  # it has looked
    slow.go_on()
    await opening
    await until(lambda: not slow.at_work(config, verb), "the OCI runtime is through")


def known(config: NativeConfig) -> set[str]:
    """The containers that the OCI runtime has, sandboxes' inits among them."""
    return set(os.listdir(Places.of(config).oci_root))


async def test_a_container_that_the_runtime_makes_for_a_killed_engine_is_taken_back(
    pod: Pod, config: NativeConfig, tmp_path: Path
) -> None:
    slow = Slow(tmp_path, "create")
    container_id = await pod.create("exit 7")
    assert await die_starting(slow.of(config), container_id, "monitor:Monitors._hear")
    await recover_from(slow, "create", config)
    assert container_id not in known(config)
    await pod.start(container_id)
    assert (await pod.exited(container_id)).exit_code == 7


async def test_an_init_that_the_runtime_makes_for_a_killed_engine_is_taken_back(
    config: NativeConfig, tmp_path: Path
) -> None:
    slow = Slow(tmp_path, "run")
    sandbox = v1.PodSandboxConfig(metadata=v1.PodSandboxMetadata(name="half", namespace="tests", uid="u"))
    request = v1.RunPodSandboxRequest(config=sandbox)
    before = known(config)
    assert await dying.die(slow.of(config), "run_pod_sandbox", request, "programs:wait")
    await recover_from(slow, "run", config)
    assert known(config) == before


async def test_a_container_is_not_deleted_by_what_a_killed_engine_told_the_runtime_before_it_was_started_again(
    pod: Pod, config: NativeConfig, tmp_path: Path
) -> None:
    slow = Slow(tmp_path, "delete")
    container_id = await pod.create("sleep 600")
    assert await die_starting(config, container_id, "monitor:Monitors._hear")
    command = [str(slow.program), "--root", str(Places.of(config).oci_root), "delete", "--force", container_id]
    deleting = await asyncio.create_subprocess_exec(*command)
    starting = asyncio.create_task(pod.start(container_id))
    await asyncio.wait({starting}, timeout=1)  # it has looked
    slow.go_on()
    await deleting.wait()
    await starting
    assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING
