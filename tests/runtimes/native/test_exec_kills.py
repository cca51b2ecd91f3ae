"""Commands in containers whose engine's process was killed: they keep nothing from ending, and end themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.places import Places
from runtimes.native.runtime import NativeRuntime
from tests.conformance.kit import WITHIN
from tests.runtimes import calls
from tests.runtimes.pods import Pod, until

OWN_PROCESSES = v1.LinuxContainerConfig(
    security_context=v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(pid=v1.CONTAINER))
)
"""The kernel ends such a container only when the last of its processes was seen out by its parent."""

DIES_AS_IT_KILLS = """
import asyncio, os, signal, sys
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.exec_process import ExecProcess
from runtimes.native.runtime import NativeRuntime
from runtimes.shared import processes

send = processes._send

def die_before_a_kill(handle, number):
    os.kill(os.getpid(), signal.SIGKILL) if number == signal.SIGKILL else send(handle, number)

async def main(config, container_id, *command):
    async with await NativeRuntime.open(NativeConfig.model_validate_json(config)) as runtime:
        await runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=command, timeout=2))

processes._send = die_before_a_kill
if sys.argv[1] == "not noted":
    ExecProcess._pid = lambda self: 0
asyncio.run(main(*sys.argv[2:]))
"""


async def die_in_a_kill(config: NativeConfig, container_id: str, *command: str, noted: bool = True) -> None:
    """A process of its own runs ``command`` for too long, and dies when it has stopped it and is to kill it."""
    words = ["noted" if noted else "not noted", config.model_dump_json(), container_id, *command]
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", DIES_AS_IT_KILLS, *words], timeout=WITHIN, check=False
    )
    assert died.returncode == -signal.SIGKILL


async def test_a_container_ends_though_a_command_in_it_was_half_killed(pod: Pod, config: NativeConfig) -> None:
    container_id = await pod.run("sleep 600", linux=OWN_PROCESSES)
    await die_in_a_kill(config, container_id, "sleep", "1202", noted=False)
    async with asyncio.timeout(WITHIN):
        await pod.stop(container_id)
    assert (await pod.exited(container_id)).exit_code == 137


async def test_a_half_killed_command_ends_when_the_state_is_opened_again(pod: Pod, config: NativeConfig) -> None:
    container_id = await pod.run("sleep 600")
    await die_in_a_kill(config, container_id, "sleep", "1203")
    assert "sleep 1203" in calls.commands(container_id)
    async with await NativeRuntime.open(config):
        await until(lambda: "sleep 1203" not in calls.commands(container_id), "the command is gone")


async def test_a_container_that_goes_while_half_killed_commands_are_looked_for_is_passed_over(
    config: NativeConfig, runtime: NativeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = Places.of(config).container("going")
    going.mkdir()
    scandir = os.scandir

    def too_late(path: Any = ".") -> Any:
        if path in (going, str(going)):
            with suppress(FileNotFoundError):
                going.rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", too_late)
    async with await NativeRuntime.open(config):
        assert not going.exists()
