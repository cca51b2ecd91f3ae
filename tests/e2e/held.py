"""``minicri serve`` that tells what it holds: descriptors, threads, tasks, objects, memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.kit import eventually
from tests.e2e.engines import Configured
from tests.e2e.test_serve import address
from tests.orchestrator.commands import PATIENCE, environment

THREADS = 4
"""Threads that a later round may still add to pools whose size is not ours to set: asyncio's own and gRPC's."""

SERVE = """
import asyncio, collections, gc, json, os, signal, sys

def tell(number, frame):
    gc.collect()
    objects = collections.Counter(type(each).__name__ for each in gc.get_objects())
    tasks = sorted(str(task.get_coro()) .split(" at 0x")[0] for task in asyncio.all_tasks(asyncio.get_event_loop()))
    path = os.environ["PROBE"]
    with open(path + ".new", "w") as file:
        json.dump({"objects": objects, "tasks": tasks}, file)
    os.rename(path + ".new", path)

signal.signal(signal.SIGUSR1, tell)
from minicri import main
main()
"""
"""``minicri`` that tells of its tasks and objects when it is sent SIGUSR1: from outside neither can be seen."""


@dataclass(frozen=True)
class Held:
    """What one process holds."""

    descriptors: Counter[str]
    threads: int
    tasks: Counter[str]
    objects: Counter[str]
    megabytes: float

    def more_than(self, before: Held) -> dict[str, object]:
        """What of it was not held before, by kind; memory and objects aside."""
        more: dict[str, object] = {
            "descriptors": self.descriptors - before.descriptors,
            "threads": max(0, self.threads - before.threads - THREADS),
            "tasks": self.tasks - before.tasks,
        }
        return {kind: count for kind, count in more.items() if count}


class Server:
    """A serving process that is looked into."""

    def __init__(self, process: subprocess.Popen[bytes], probe: Path, socket: Path) -> None:
        self.process = process
        self.socket = socket
        self._probe = probe

    async def held(self) -> Held:
        self._probe.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        await eventually(self._told, "the server told of its tasks")
        told = json.loads(self._probe.read_text())
        proc = Path("/proc", str(self.process.pid))
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return Held(
            Counter(_kind(link) for link in (proc / "fd").iterdir()),
            len(list((proc / "task").iterdir())),
            Counter(told["tasks"]),
            Counter(told["objects"]),
            int(status["VmRSS"].split()[0]) * 1024 / 1e6,
        )

    async def serves(self) -> bool:
        assert self.process.poll() is None
        return self.socket.exists()

    async def _told(self) -> bool:
        return self._probe.exists()


def _kind(link: Path) -> str:
    """What a descriptor leads to, without what tells one socket from another."""
    try:
        return os.readlink(link).partition(":[")[0]
    except FileNotFoundError:
        return ""


@contextmanager
def looked_into(engine: Configured) -> Iterator[Server]:
    probe = engine.folder / "probe.json"
    temporary = engine.folder / "tmp"
    temporary.mkdir()
    variables = {**engine.variables, "PROBE": str(probe), "TMPDIR": str(temporary)}
    with (engine.folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", "--config", str(engine.file), "--listen", address(engine)],
            cwd=engine.folder,
            env=environment(engine.folder, **variables),
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        yield Server(process, probe, Path(address(engine).removeprefix("unix://")))
    finally:
        process.terminate()
        process.wait(PATIENCE)
