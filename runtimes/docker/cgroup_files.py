"""The cgroup of a running container on this host: where it is, and setting what Docker's API has no field for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cri.errors import NotFound, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.engine import Engine
from runtimes.docker.resources import KNOWN_FILES
from runtimes.shared import cgroup_settings, cgroups, processes
from runtimes.shared.cgroups import Cgroup

NOTED = 2.0
"""Seconds within which an engine notes that a process of a container has ended."""


@dataclass(frozen=True, slots=True)
class Located:
    """A running container: its first process, its cgroup, and what the engine says of it."""

    pid: int
    cgroup: Cgroup
    inspected: Mapping[str, Any]


async def locate(engine: Engine, container_id: str) -> Located | None:
    """None for a container that does not run. Raises Unimplemented where its processes cannot be seen from here."""
    found = await _inspect(engine, container_id)
    pid = _pid(found)
    if found is None or not pid:
        return None
    try:
        cgroup = await asyncio.to_thread(cgroups.of_process, pid) if engine.is_local else None
    except (FileNotFoundError, ProcessLookupError):
        cgroup = None
    if cgroup is not None and processes.is_of_container(pid, container_id):
        return Located(pid, cgroup.only(container_id), found)
    # Either it has just ended, which the engine notes a moment later, or its processes are not this host's.
    if await _ends(engine, container_id):
        return None
    raise Unimplemented(
        f"this needs the cgroup files of container {container_id}, and those of the engine at {engine.address} "
        "cannot be seen from here"
    )


async def _ends(engine: Engine, container_id: str) -> bool:
    """Whether it has ended, or does so within ``NOTED``."""
    try:
        async with (
            asyncio.timeout(NOTED),
            engine.stream("POST", f"/containers/{container_id}/wait", params={"condition": "not-running"}) as answer,
        ):
            async for _ in answer.chunks():
                break
    except NotFound:
        return True
    except TimeoutError:
        return False
    return True


async def _inspect(engine: Engine, container_id: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = await engine.call(engine.client.inspect_container, container_id)
    except NotFound:
        return None
    return found


def _pid(found: Mapping[str, Any] | None) -> int:
    return int(found["State"]["Pid"]) if found is not None else 0


async def apply(engine: Engine, container_id: str, limits: v1.LinuxContainerResources) -> None:
    """Set the files that ``limits`` ask for beyond what the engine sets. One that does not run needs none.
    Raises FailedPrecondition for what this host cannot set, Unimplemented as ``locate`` does."""
    wanted = cgroup_settings.settings(limits, known=KNOWN_FILES)
    if not wanted:
        return
    try:
        located = await locate(engine, container_id)
    except Unimplemented:
        if any(setting.needed for setting in wanted):
            raise
        return
    if located is None:
        return
    try:
        await asyncio.to_thread(cgroup_settings.write, located.cgroup, wanted)
    except FileNotFoundError:
        return  # it ended meanwhile
