"""Where containers and sandboxes are on this host, for their stats."""

from __future__ import annotations

from cri.v1 import api_pb2 as v1
from runtimes.native import cgroup_tree
from runtimes.native.images import Snapshots
from runtimes.native.places import Places
from runtimes.native.records import Phase, Records, SandboxRecord
from runtimes.shared import cgroups
from runtimes.shared.disk_usage import DiskUsage
from runtimes.shared.readings import Place


class StatsPlaces:
    """See ``readings.Places``. Of a sandbox only its init has a cgroup of its own, where it has one."""

    def __init__(self, records: Records, places: Places, snapshots: Snapshots) -> None:
        self._records = records
        self._places = places
        self._snapshots = snapshots

    async def container(self, container_id: str) -> Place | None:
        record = self._records.containers.get(container_id)
        if record is None or record.phase is not Phase.RUNNING:
            return None
        sandbox = self._records.sandboxes.get(record.sandbox_id)
        return Place(
            record.pid,
            cgroup_tree.from_text(record.cgroup),
            upper=str(self._snapshots.upper(container_id) or ""),
            started_ns=record.started_ns,
            on_host_network=sandbox is not None and _is_on_host(sandbox),
        )

    async def sandbox(self, sandbox_id: str) -> Place | None:
        record = self._records.sandboxes.get(sandbox_id)
        if record is None or record.phase is not Phase.READY:
            return None
        cgroup = cgroup_tree.from_text("")
        if record.init_pid:
            try:
                cgroup = cgroups.of_process(record.init_pid).only(record.id)
            except (FileNotFoundError, ProcessLookupError):
                return None
        return Place(
            record.init_pid,
            cgroup,
            upper="",
            started_ns=record.created_ns,
            on_host_network=_is_on_host(record),
            network=self._places.namespaces(sandbox_id) / "net",
        )

    async def written(self, container_id: str) -> DiskUsage:
        return DiskUsage()

    async def storage(self) -> str:
        return str(self._places.snapshots)


def _is_on_host(record: SandboxRecord) -> bool:
    return bool(record.config.linux.security_context.namespace_options.network == v1.NODE)
