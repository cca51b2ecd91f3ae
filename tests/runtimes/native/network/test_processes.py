"""Several processes, or many tasks, on one engine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from runtimes.native.network import namespaces
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine

LIVES = 12
LIVES_AT_ONCE = 8


def started(directory: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.runtimes.native.network.lives", str(directory), name, str(LIVES)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


async def test_processes_that_make_and_remove_one_network_do_not_disturb_each_other(
    engine: Engine, tmp_path: Path
) -> None:
    workers = [started(tmp_path, name) for name in "abc"]
    said = [(await asyncio.to_thread(worker.communicate))[0].strip() for worker in workers]
    assert said == ["done"] * len(workers)
    assert host.interfaces() == {"lo"}
    assert host.rules() == ""


async def test_many_lives_at_once_leave_nothing(engine: Engine) -> None:
    turn = asyncio.Semaphore(LIVES_AT_ONCE)

    async def live() -> None:
        async with turn:
            sandbox = await engine.sandbox()
            await engine.detach(sandbox)
            namespaces.remove(sandbox.netns.parent)

    await asyncio.gather(*(live() for _ in range(5 * LIVES_AT_ONCE)))
    await engine.networks.close()
    assert host.interfaces() == {"lo"}
    assert host.rules() == ""
    with engine.database.read() as connection:
        assert connection.execute("select count(*) from address_leases").fetchone()[0] == 0
