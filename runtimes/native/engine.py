"""All parts of the engine, put together: from the opening of the state to its closing."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from cri.errors import FailedPrecondition
from runtimes.native import images, network, records
from runtimes.native.attach import Attach
from runtimes.native.checkpoint import Checkpoint
from runtimes.native.config import NativeConfig
from runtimes.native.container_life import ContainerLife
from runtimes.native.container_parts import ContainerParts
from runtimes.native.containers import Containers
from runtimes.native.database import Database
from runtimes.native.ends import Ends
from runtimes.native.event_source import Changes, EventSource
from runtimes.native.exec_processes import ExecProcesses
from runtimes.native.images import Images, Snapshots
from runtimes.native.locks import Locks
from runtimes.native.monitor import Monitors
from runtimes.native.network import Networks
from runtimes.native.oci import apparmor
from runtimes.native.oci import host as host_facts
from runtimes.native.oci.compiled import CompiledFilters
from runtimes.native.oci_runtime import OciRuntime, find_program, handlers
from runtimes.native.places import Places
from runtimes.native.records import ContainerRecord, Phase, Records
from runtimes.native.recovery import notice_reboot
from runtimes.native.sandbox_parts import SandboxParts
from runtimes.native.sandboxes import Sandboxes
from runtimes.native.stats_places import StatsPlaces
from runtimes.native.status import Status
from runtimes.shared.container_events import ContainerEvents
from runtimes.shared.exec_stream import ExecStream
from runtimes.shared.exec_sync import ExecSync
from runtimes.shared.port_forward import PortForward
from runtimes.shared.stats import Stats
from runtimes.shared.streams import Streams

_HOST_NETWORK = Path("/proc/self/ns/net")


class Engine:
    """Made by ``open``; ``aclose`` lets go of everything, and what runs goes on."""

    def __init__(self, config: NativeConfig, database: Database, locks: Locks) -> None:
        self._undo = AsyncExitStack()
        places = Places.of(config)
        host = host_facts.look(cgroup_driver=_driver(config), seccomp_profile=_path(config.seccomp_profile))
        found = handlers(config.runtime)
        runtimes = {
            name: OciRuntime(
                path,
                places.oci_root,
                config.call_timeout,
                CompiledFilters(places.filters, Path(path)),
                driver=host.cgroup_driver,
            )
            for name, path in found.items()
        }
        self._programs = tuple(runtimes.values())  # the default first
        runtimes[""] = next(iter(runtimes.values()))
        self._host = host
        self._records = Records.of(database)
        self._places = places
        self._locks = locks
        monitors = Monitors(find_program(config.conmon, "conmon"), places, config.call_timeout)
        self._ends = Ends(self._records, monitors, places)
        self._networks = Networks(config, places, database, locks)
        self.images = Images(config, places, database, locks)
        self._snapshots = Snapshots(places, database, locks)
        sandbox_parts = SandboxParts(config, places, locks, host, self._networks)
        container_parts = ContainerParts(places, host, self.images, self._snapshots)
        life = ContainerLife(self._records, locks, monitors, self._ends, self._runtime_of, container_parts.settle)
        self.sandboxes = Sandboxes(self._records, locks, sandbox_parts, self._ends, runtimes)
        self.containers = Containers(
            self._records, locks, container_parts, sandbox_parts, self.sandboxes, life, self._ends, host
        )
        self.sandboxes.end_members = self.containers.end_all
        self.sandboxes.remove_members = self.containers.remove_all
        self._commands = ExecProcesses(places, locks, self.containers, container_parts, self._ends, self._runtime_of)
        self.exec_sync = ExecSync(self._commands)
        self._attach = Attach(places, monitors, self.containers)
        self.streams = Streams(
            ExecStream(self._commands),
            self._attach,
            PortForward(self._network_of),
            config,
        )
        self.checkpoint = Checkpoint(places, locks, self.containers, self._runtime_of)
        source = EventSource(self._records, self.containers, self.sandboxes)
        self.events = ContainerEvents(source)
        self._changes = Changes(database, places.root, self._ends, self.events)
        for teller in (self.sandboxes, self.containers):
            teller.on_change = lambda record_id: self.events.hear(source.told(record_id))
        life.on_start = self._ends.on_end = lambda record_id: self.events.hear(source.told(record_id))
        self.stats = Stats(StatsPlaces(self._records, places, self._snapshots), self.containers, self.sandboxes)
        self.status = Status(config, host, runtimes, version("minicri"))

    @classmethod
    async def open(cls, config: NativeConfig) -> Engine:
        """Raises FailedPrecondition for what this host lacks, and for a state that cannot be used."""
        if os.geteuid() != 0:
            raise FailedPrecondition("the native engine needs root")
        places = Places.of(config)
        places.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever is root in a sandbox with users of its own has to come through these; what is in them is closed.
        for directory in (places.run, places.containers, places.sandboxes):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        async with AsyncExitStack() as undo:
            database = Database(places.database, [records.SCHEMA, images.SCHEMA, network.SCHEMA])
            undo.callback(database.close)
            locks = Locks(places.locks)
            undo.callback(locks.close)
            engine = cls(config, database, locks)
            undo.push_async_callback(engine._let_go)
            await engine._begin()
            engine._undo = undo.pop_all()
        return engine

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._undo.aclose()

    async def _let_go(self) -> None:
        await self.streams.aclose()
        await self._attach.aclose()
        await self._changes.aclose()
        await self._ends.aclose()
        await self.events.aclose()
        await self._networks.close()
        self._snapshots.close()

    async def _begin(self) -> None:
        async with self._locks.hold("engine", "opening"):
            notice_reboot(self._places, self._records)
            for runtime in self._programs:
                runtime.protect(self._places.programs)
            await self._programs[0].judge()
            await self._commands.recover()
            await self.containers.recover()
            await self.sandboxes.recover()
            await self._snapshots.recover(lambda: {each.id for each in self._records.containers.all()})
            await self._networks.recover(self._networked)
            await self.images.recover()
            if self._host.apparmor:
                await apparmor.load()
        self._changes.start()
        self._ends.start()
        await self.events.start()

    def _networked(self) -> set[str]:
        """The sandboxes that have a network, or are getting one."""
        sandboxes = self._records.sandboxes.all()
        return {each.id for each in sandboxes if each.phase in (Phase.MAKING, Phase.READY)}

    def _runtime_of(self, record: ContainerRecord) -> OciRuntime:
        sandbox = self._records.sandboxes.get(record.sandbox_id)
        return self.sandboxes.runtime(sandbox.request.runtime_handler if sandbox is not None else "")

    async def _network_of(self, sandbox_id: str) -> Path:
        self.sandboxes.ready(sandbox_id)
        own = self._places.namespaces(sandbox_id) / "net"
        return own if own.exists() else _HOST_NETWORK


def _driver(config: NativeConfig) -> str:
    if config.cgroup_driver != "auto":
        return config.cgroup_driver
    has_systemd = Path("/run/systemd/system").is_dir() and Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return "systemd" if has_systemd else "cgroupfs"


def _path(text: str) -> Path | None:
    return Path(text) if text else None
