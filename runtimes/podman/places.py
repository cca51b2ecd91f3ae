"""Where Podman has its containers: cgroup, network and storage, for their stats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from cri.errors import Unimplemented
from runtimes.podman.container_status import nanoseconds
from runtimes.podman.engine import Engine
from runtimes.podman.sandbox_status import infra_id
from runtimes.shared import cgroups, processes
from runtimes.shared.disk_usage import DiskUsage
from runtimes.shared.readings import Place


class Places:
    """See ``stats.Places``. A sandbox is its pod's infra container."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def container(self, container_id: str) -> Place | None:
        found = await self._engine.inspect("containers", container_id)
        pid = _pid(found)
        if found is None or not pid:
            return None
        try:
            cgroup = await asyncio.to_thread(cgroups.of_process, pid) if self._engine.is_local else None
        except (FileNotFoundError, ProcessLookupError):
            cgroup = None
        if cgroup is None or not processes.is_of_container(pid, container_id):
            # Either it ended between the two looks, or its processes are not this host's.
            if _pid(await self._engine.inspect("containers", container_id)) != pid:
                return None
            raise Unimplemented(
                f"this needs the cgroup files of container {container_id}, and those of the engine at "
                f"{self._engine.address} cannot be seen from here"
            )
        return Place(
            pid,
            cgroup.only(container_id),
            upper=((found.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or "",
            started_ns=nanoseconds(found["State"]["StartedAt"]),
            on_host_network=(found.get("HostConfig") or {}).get("NetworkMode") == "host",
        )

    async def sandbox(self, sandbox_id: str) -> Place | None:
        pod = await self._engine.inspect("pods", sandbox_id)
        infra = infra_id(pod) if pod is not None else ""
        return await self.container(infra) if infra else None

    async def written(self, container_id: str) -> DiskUsage:
        rows = await self._engine.get(
            "/containers/json", params={"all": True, "size": True, "filters": json.dumps({"id": [container_id]})}
        )
        size = (rows[0].get("Size") or {}) if rows else {}
        return DiskUsage(int(size["rwSize"])) if "rwSize" in size else DiskUsage()

    async def storage(self) -> str:
        return (await self._engine.facts()).root_dir


def _pid(found: Mapping[str, Any] | None) -> int:
    return int(found["State"].get("Pid") or 0) if found is not None else 0
