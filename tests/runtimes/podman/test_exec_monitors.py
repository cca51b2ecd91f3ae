"""The monitors that Podman keeps for five minutes after each command."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.podman.runtime import PodmanRuntime
from runtimes.shared import processes
from tests.runtimes import calls
from tests.runtimes.pods import Pod, until


async def test_monitors_of_commands_do_not_hold_up_the_removal_of_a_sandbox(
    pod: Pod, runtime: PodmanRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    container_id = await pod.run("exec sleep 600")
    await runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=["true"], timeout=30))
    with contextlib.ExitStack() as held:
        monitors = [held.enter_context(calls.held(place)) for place in exec_monitors(container_id)]
        assert monitors
        delete = runtime._sandboxes._removal.delete

        async def once_they_have_ended(path: str, params: dict[str, Any]) -> None:
            if path.startswith("/pods/"):
                await until(lambda: all(map(processes.is_over, monitors)), "they have ended before the engine is told")
            await delete(path, params)

        monkeypatch.setattr(runtime._sandboxes._removal, "delete", once_they_have_ended)
        await pod.aclose()


def exec_monitors(container_id: str) -> list[Path]:
    """The /proc directories of the monitors of commands in a container."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (place / "cmdline").read_bytes()
            if b"/exec_pid\0" in command and container_id.encode() in command:
                found.append(place)
    return found
