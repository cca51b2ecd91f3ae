"""``minicri serve`` as a process of its own: driven over its socket, ended by signals, started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

import cri
from cri import logs
from cri.errors import Unavailable
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, eventually, shell
from tests.e2e.engines import Configured
from tests.orchestrator.commands import PATIENCE, started

COUNTING = "n=0; while [ $n -lt 200 ]; do echo line $n; n=$((n+1)); sleep 0.02; done"


@contextmanager
def serving(engine: Configured) -> Iterator[subprocess.Popen[str]]:
    command = ("serve", "--config", str(engine.file), "--listen", address(engine))
    with started(engine.folder, *command, ready=address(engine), env=engine.variables) as process:
        yield process


def address(engine: Configured) -> str:
    return f"unix://{engine.folder}/cri.sock"


@asynccontextmanager
async def driving(engine: Configured, *, label: str = "") -> AsyncIterator[Kit]:
    """The conformance suite's kit on the served endpoint. ``label`` is an earlier kit's, to find its things."""
    async with cri.connect(address(engine)) as client:
        kit = Kit(client, "busybox", engine.folder)
        kit.label = label or kit.label
        await kit.have_image()
        yield kit


async def test_a_served_runtime_runs_a_container(engine: Configured) -> None:
    with serving(engine):
        async with driving(engine) as kit, kit:
            sandbox_id = await kit.sandbox()
            container_id = await kit.run(sandbox_id)
            assert await kit.said(container_id, "echo", "hello") == "hello\n"
            answer = await kit.runtime.version(v1.VersionRequest())
            assert answer.runtime_name == engine.product


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_calls_in_flight_finish(engine: Configured, number: signal.Signals) -> None:
    with serving(engine) as process:
        async with driving(engine) as kit:
            container_id = await kit.run(await kit.sandbox())
            calling = asyncio.ensure_future(kit.exec(container_id, *shell("touch /tmp/begun; sleep 2; echo done")))

            async def begun() -> bool:
                return (await kit.exec(container_id, "ls", "/tmp/begun")).exit_code == 0

            await eventually(begun, "the command runs")
            process.send_signal(number)
            assert (await calling).stdout == b"done\n"
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    await clean(engine, kit)


async def test_a_served_runtime_that_drains_takes_no_new_calls_and_leaves_no_socket(engine: Configured) -> None:
    with serving(engine) as process:
        async with driving(engine) as kit:
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, PATIENCE)
            with pytest.raises(Unavailable):
                await kit.runtime.version(v1.VersionRequest())
    assert not [name for name in os.listdir(engine.folder) if name.endswith(".sock")]


async def clean(engine: Configured, kit: Kit) -> None:
    """Remove what ``kit`` made, through another server; a fake's things went with the first."""
    if not engine.engine.lives:
        return
    with serving(engine):
        async with driving(engine, label=kit.label) as again:
            for sandbox in await again.sandboxes():
                await again.remove_sandbox(sandbox.id)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_of_the_server_changes_nothing(docker: Configured, number: signal.Signals) -> None:
    with serving(docker) as process:
        async with driving(docker) as kit:
            sandbox_id = await kit.sandbox(annotations={"a": "b"})
            running = await kit.run(sandbox_id)
            await kit.exec(running, "touch", "/tmp/mark")
            exited = await kit.run(sandbox_id, *shell("exit 4"))
            known = [await kit.sandbox_status(sandbox_id), await kit.status(running), await kit.exited(exited)]
            process.send_signal(number)
            await asyncio.to_thread(process.wait, PATIENCE)
    try:
        with serving(docker):
            async with driving(docker, label=kit.label) as again:
                found = [await again.sandbox_status(sandbox_id), *[await again.status(i) for i in (running, exited)]]
                assert found == known
                assert await again.said(running, "ls", "/tmp") == "mark\n"
    finally:
        await clean(docker, kit)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_log_has_every_line_once_though_the_server_was_restarted(
    docker: Configured, number: signal.Signals
) -> None:
    with serving(docker) as process:
        async with driving(docker) as kit:
            container_id = await kit.run(await kit.sandbox(), *shell(COUNTING))
            await kit.logged(container_id, b"line 20")
            path = Path((await kit.status(container_id)).log_path)
            process.send_signal(number)
            await asyncio.to_thread(process.wait, PATIENCE)
    try:
        with serving(docker):
            async with driving(docker, label=kit.label) as again:
                await again.exited(container_id)

                async def complete() -> bool:
                    return any(record.text == b"line 199" for record in logs.read(path))

                await eventually(complete, "the log is complete")
    finally:
        await clean(docker, kit)
    assert [record.text for record in logs.read(path)] == [b"line %d" % n for n in range(200)]
