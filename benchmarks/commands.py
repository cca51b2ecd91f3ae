"""What the command itself costs: the time of ``--help``, and the memory of ``serve`` and ``up`` while idle."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter

from benchmarks.result import Result

RUNS = 15
HELP_GOAL = 0.3
MEMORY_GOAL = 80.0
MINICRI = (sys.executable, "-c", "from minicri import main; main()")
EMPTY = (sys.executable, "-c", "pass")


async def run() -> AsyncIterator[Result]:
    """Help and an empty interpreter take turns; the best of each is what the machine's other work disturbed least."""
    ours, bare = [], []
    for _ in range(RUNS):
        ours.append(_seconds(*MINICRI, "--help"))
        bare.append(_seconds(*EMPTY))
    helped, floor = min(ours), min(bare)
    yield Result(what=f"minicri --help, best of {RUNS}", value=helped, unit="s", goal=HELP_GOAL)
    yield Result(what="the same, median", value=statistics.median(ours), unit="s")
    yield Result(what="as a multiple of an empty Python", value=helped / floor, unit="x")
    for runtime in ("fake", "docker"):
        for command in ("serve", "up"):
            megabytes = await asyncio.to_thread(_memory, command, runtime)
            if megabytes is not None:
                what = f"resident memory of an idle {command}, {runtime}"
                yield Result(what=what, value=megabytes, unit="MB", goal=MEMORY_GOAL)


def _seconds(*command: str) -> float:
    begun = perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=_environment())
    return perf_counter() - begun


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def _memory(command: str, runtime: str) -> float | None:
    """Megabytes of a process that has answered a call and then been left alone; None where it does not start."""
    with tempfile.TemporaryDirectory(prefix="minicri-bench-") as folder:
        where = ["--listen", f"unix://{folder}/s.sock"] + (["--state", folder] if command == "up" else [])
        process = subprocess.Popen(
            [*MINICRI, command, "--runtime", runtime, *where], stderr=subprocess.PIPE, text=True, env=_environment()
        )
        try:
            assert process.stderr is not None
            if not any("INFO serving" in line for line in process.stderr):
                return None
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
            return int(kilobytes) * 1024 / 1e6
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
