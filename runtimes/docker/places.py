"""Where Docker has its containers: cgroup, network and storage, for their stats."""

from __future__ import annotations

import re
from asyncio import to_thread
from pathlib import Path

from runtimes.docker import cgroup_files
from runtimes.docker.container_status import nanoseconds
from runtimes.docker.engine import Engine
from runtimes.shared.disk_usage import DiskUsage
from runtimes.shared.readings import Place


class Places:
    """See ``stats.Places``. A sandbox is its pause container."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def container(self, container_id: str) -> Place | None:
        located = await cgroup_files.locate(self._engine, container_id)
        if located is None:
            return None
        found = located.inspected
        # An engine that keeps its layers in containerd does not say where; the mount itself does.
        said: str = ((found.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or ""
        return Place(
            located.pid,
            located.cgroup,
            said or await to_thread(upper_of, located.pid),
            started_ns=nanoseconds(found["State"]["StartedAt"]),
            on_host_network=found["HostConfig"]["NetworkMode"] == "host",
        )

    async def sandbox(self, sandbox_id: str) -> Place | None:
        return await self.container(sandbox_id)

    async def written(self, container_id: str) -> DiskUsage:
        rows = await self._engine.call(
            self._engine.client.containers, all=True, size=True, filters={"id": [container_id]}
        )
        return DiskUsage(int(rows[0].get("SizeRw") or 0)) if rows else DiskUsage()

    async def storage(self) -> str:
        return (await self._engine.facts()).root_dir


def upper_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The directory that a process's overlay root writes to; empty where there is none, or it cannot be seen."""
    try:
        mounts = (proc / str(pid) / "mountinfo").read_text()
    except OSError:
        return ""
    for line in mounts.splitlines():
        where, _, what = line.partition(" - ")
        if where.split()[4] == "/" and what.startswith("overlay "):
            found = re.search(r"[ ,]upperdir=((?:\\,|[^,\s])*)", what)
            return _plain(found[1]) if found else ""
    return ""


def _plain(text: str) -> str:
    """Of a path as the kernel tells it: a comma is ``\\,`` and a blank ``\\040``."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text.replace("\\,", ","))
