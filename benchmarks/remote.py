"""What minicri in front of another CRI endpoint adds to a call: three processes, as they are used."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import cri
from benchmarks.commands import MINICRI
from benchmarks.result import Absent, Result, percentile, spread
from benchmarks.round_trip import side_by_side
from cri.v1 import api_pb2 as v1

GOAL_MS = 1.0
"""Milliseconds that the endpoint in front may add to a call, p50."""
START = 20.0
_ROOT = Path(__file__).parents[1]


async def run() -> AsyncIterator[Result]:
    version, listing = v1.VersionRequest(), v1.ListContainersRequest()
    with tempfile.TemporaryDirectory(prefix="minicri-bench-") as folder:
        far, front = f"unix://{folder}/far.sock", f"unix://{folder}/front.sock"
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serving("fake", far))
            await stack.enter_async_context(serving(far, front))
            direct = await stack.enter_async_context(cri.connect(far))
            through = await stack.enter_async_context(cri.connect(front))
            times = await side_by_side(
                {
                    "Version, straight to the endpoint": lambda: direct.version(version),
                    "Version, through serve --runtime ADDRESS": lambda: through.version(version),
                    "ListContainers, straight to the endpoint": lambda: direct.list_containers(listing),
                    "ListContainers, through serve --runtime ADDRESS": lambda: through.list_containers(listing),
                }
            )
    for what, seconds in times.items():
        for result in spread(what, seconds):
            yield result
    middles = [percentile(seconds, 50) * 1e3 for seconds in times.values()]
    yield Result(what="added to Version, p50", value=middles[1] - middles[0], unit="ms", goal=GOAL_MS)
    yield Result(what="added to ListContainers, p50", value=middles[3] - middles[2], unit="ms", goal=GOAL_MS)


@asynccontextmanager
async def serving(runtime: str, address: str) -> AsyncIterator[int]:
    """The pid of ``minicri serve`` in a process of its own, answering. Raises Absent when it does not start."""
    process = await asyncio.create_subprocess_exec(
        *MINICRI, "serve", "--runtime", runtime, "--listen", address,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(START):
            while line := await process.stderr.readline():
                if b"serving" in line:
                    break
            else:
                raise Absent(f"minicri serve --runtime {runtime} ended before it served")
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
