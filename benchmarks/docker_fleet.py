"""Many containers on a Docker engine: what it costs to list them, to read their stats, and to do nothing."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import docker

import cri
from benchmarks.remote import serving
from benchmarks.result import Absent, Result, percentile
from benchmarks.ways import Minicri
from cri.errors import CRIError
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.shared import labels

EACH = 10
"""Containers in a sandbox."""
FEW, MANY = 50, 200
AT_ONCE = 4
ROUNDS = 40
WARM_UP = 3
QUIET = 20.0
"""Seconds over which an idle server is watched."""
LIST_GOAL_MS, STATS_GOAL_MS, IDLE_GOAL_PERCENT = 20.0, 50.0, 1.0

Calls = dict[str, tuple[Callable[[], Awaitable[Any]], float | None]]


async def run() -> AsyncIterator[Result]:
    with tempfile.TemporaryDirectory(prefix="minicri-bench-") as path:
        address = f"unix://{path}/cri.sock"
        async with AsyncExitStack() as stack:
            try:
                here = Minicri(await stack.enter_async_context(cri.open("docker")), Path(path))
            except CRIError as error:
                raise Absent(error.message) from error
            pid = await stack.enter_async_context(serving("docker", address))
            far = await stack.enter_async_context(cri.connect(address))
            fleet = Fleet(Minicri(far, Path(path)))
            stack.push_async_callback(fleet.scrap)
            await fleet.grow(FEW)
            cpu = await _cpu(pid)
            yield Result(
                what=f"CPU of an idle serve, {FEW} containers run", value=cpu, unit="%", goal=IDLE_GOAL_PERCENT
            )
            await fleet.grow(MANY)
            client = stack.enter_context(closing(docker.from_env().api))
            for result in await _looks(client, here, far):
                yield result


class Fleet:
    """Sandboxes with ``EACH`` running containers."""

    def __init__(self, way: Minicri) -> None:
        self._way = way
        self._sandboxes: list[str] = []

    async def grow(self, containers: int) -> None:
        """Until so many run."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with limit:
                sandbox_id = await self._way.run_sandbox(f"fleet-{number}")
                self._sandboxes.append(sandbox_id)
                for index in range(EACH):
                    await self._way.start(await self._way.create(sandbox_id, f"c-{index}"))

        async with asyncio.TaskGroup() as group:
            for number in range(len(self._sandboxes), containers // EACH):
                group.create_task(one(number))

    async def scrap(self) -> None:
        for sandbox_id in self._sandboxes:
            await self._way.remove_sandbox(sandbox_id)


async def _looks(client: docker.APIClient, here: Minicri, far: Runtime) -> list[Result]:
    """One call of each kind in turn, so that the machine's noise falls on all."""
    list_request, stats_request = v1.ListContainersRequest(), v1.ListContainerStatsRequest()
    of_ours = {"label": [f"{labels.KIND}={labels.CONTAINER}"]}
    calls: Calls = {
        "the engine's list, by the SDK": (
            lambda: asyncio.to_thread(client.containers, all=True, filters=of_ours),
            None,
        ),
        "ListContainers, in process": (lambda: here.runtime.list_containers(list_request), LIST_GOAL_MS),
        "ListContainers, over gRPC": (lambda: far.list_containers(list_request), LIST_GOAL_MS),
        "ListContainerStats, in process": (lambda: here.runtime.list_container_stats(stats_request), STATS_GOAL_MS),
        "ListContainerStats, over gRPC": (lambda: far.list_container_stats(stats_request), STATS_GOAL_MS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(WARM_UP + ROUNDS):
        for name, (call, _) in calls.items():
            begun, used = perf_counter(), process_time()
            await call()
            if number >= WARM_UP:
                seconds[name].append(perf_counter() - begun)
                cpu[name].append(process_time() - used)
    results = []
    for name, (_, goal) in calls.items():
        what = f"{name}, {MANY} containers"
        results.append(Result(what=f"{what}, p50", value=percentile(seconds[name], 50) * 1e3, unit="ms", goal=goal))
        results.append(Result(what=f"{what}, best", value=min(seconds[name]) * 1e3, unit="ms"))
        results.append(
            Result(what=f"{what}, CPU of this process, p50", value=percentile(cpu[name], 50) * 1e3, unit="ms")
        )
    return results


async def _cpu(pid: int) -> float:
    """Percent of one core that a process uses while nobody asks it anything."""
    before, begun = _ticks(pid), perf_counter()
    await asyncio.sleep(QUIET)
    seconds = (_ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
    return 100 * seconds / (perf_counter() - begun)


def _ticks(pid: int) -> int:
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
