"""Sandboxes: a pause container each, which holds the network and whatever else the containers share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from cri import filters, networks, validation
from cri.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound
from cri.networks import NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.docker import sandbox_config, sandbox_status
from runtimes.docker.engine import Engine
from runtimes.docker.engine_errors import is_conflict
from runtimes.docker.networks import Networks
from runtimes.docker.pause_image import PauseImage
from runtimes.docker.removal import Removal
from runtimes.shared import labels, profiles
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.names import sandbox_name
from runtimes.shared.pauses import Pauses
from runtimes.shared.records import Records

NETWORK_TRIES = 3
"""A named network may be removed, as empty, between our look and the start; then it is made once more."""


class Sandboxes:
    """RunPodSandbox to RemovePodSandbox."""

    def __init__(self, engine: Engine, records: Records, removal: Removal, named: Networks) -> None:
        self._engine = engine
        self._records = records
        self._removal = removal
        self._networks = named
        self._pause_image = PauseImage(engine)
        self._starting: InFlight[str] = InFlight()
        self._pauses: Pauses[v1.RunPodSandboxRequest] = Pauses()

    async def run(self, request: v1.RunPodSandboxRequest) -> str:
        """Make and start a sandbox; its id. Raises AlreadyExists naming the sandbox that has this metadata."""
        validation.sandbox_config(request.config)
        name = sandbox_name(request.config.metadata)
        wanted = request.SerializeToString(deterministic=True)
        return await self._starting.run(name, wanted, lambda: self._run(name, request))

    async def _run(self, name: str, request: v1.RunPodSandboxRequest) -> str:
        network = networks.read(request.config.annotations)
        config = sandbox_config.pause_container(
            request,
            network,
            await self._engine.facts(),
            created_ns=time.time_ns(),
            default_cgroup_parent=self._engine.config.cgroup_parent,
            seccomp_json=await profiles.read_seccomp(request.config.linux.security_context.seccomp),
        )
        async with AsyncExitStack() as undo:
            await self._require_network(network, undo)
            sandbox_id = await uninterrupted(self._create(name, config, undo))
            await self._start(sandbox_id, network, undo)
            undo.pop_all()
            return sandbox_id

    async def stop(self, sandbox_id: str) -> None:
        """CRI: kills the members, then gives the network back; an unknown id succeeds."""
        known, members = await asyncio.gather(self._find(sandbox_id), self._removal.members(sandbox_id))
        if known is None:
            return
        found, _ = known
        await self._removal.kill_all(member for member in members if member["State"] != "exited")
        if found["State"]["Status"] in ("running", "paused"):
            await self._removal.kill(found["Id"])

    async def remove(self, sandbox_id: str) -> None:
        """CRI: removes the members too; an unknown id succeeds. A named network of ours goes with the last sandbox."""
        known, members = await asyncio.gather(self._find(sandbox_id), self._removal.members(sandbox_id))
        if known is None:
            return
        found, record = known
        states = {found["Id"]: found["State"]["Status"], **{member["Id"]: member["State"] for member in members}}
        await self._removal.end_forgotten(*(each for each, state in states.items() if state == "created"))
        await self._removal.remove_all(member["Id"] for member in members)
        await self._removal.remove(found["Id"])
        self._pauses.forget(found["Id"])
        self._records.sandboxes.forget(found["Id"])
        await self._release_network(networks.read(record.config.annotations))

    async def status(self, sandbox_id: str) -> tuple[v1.PodSandboxStatus, dict[str, Any]]:
        """The status and what the engine says. Raises NotFound."""
        found, record = await self._require(sandbox_id)
        return sandbox_status.status(found, record), found

    async def list(self, wanted: v1.PodSandboxFilter) -> list[v1.PodSandbox]:
        """What matches the filter, newest first. Sandboxes that are still being made are not there yet."""
        engine_filter: dict[str, Any] = {"label": [f"{labels.KIND}={labels.SANDBOX}"]}
        if wanted.id:
            engine_filter["id"] = [wanted.id]
        listed = await self._engine.call(self._engine.client.containers, all=True, filters=engine_filter)
        items = []
        for found in listed:
            record = self._records.sandboxes.get(found)
            if record is None or any(name.removeprefix("/") in self._starting for name in found["Names"] or ()):
                continue
            items.append(sandbox_status.item(found, record))
        return filters.sandboxes(items, wanted)

    async def spec(self, sandbox_id: str) -> v1.RunPodSandboxRequest:
        """The request that made a READY sandbox. Raises NotFound, FailedPrecondition when it is not ready."""
        if (known := self._pauses.get(sandbox_id)) is not None:
            return known
        found, record = await self._require(sandbox_id)
        if sandbox_status.state(found) != v1.SANDBOX_READY:
            raise FailedPrecondition(f"sandbox {sandbox_id} is not ready; make a new one")
        self.note(found, record)
        return record

    def note(self, found: Mapping[str, Any], record: v1.RunPodSandboxRequest) -> None:
        """A look has shown this: where it is ready, it is so until its pause process ends."""
        if self._engine.is_local and sandbox_status.state(found) == v1.SANDBOX_READY:
            self._pauses.note(found["Id"], record, found["State"]["Pid"], found["Id"])

    async def _require(self, sandbox_id: str) -> tuple[dict[str, Any], v1.RunPodSandboxRequest]:
        known = await self._find(sandbox_id)
        if known is None:
            raise NotFound(f"no sandbox has the id {sandbox_id!r}", details={"pod_sandbox_id": sandbox_id})
        return known

    async def _find(self, sandbox_id: str) -> tuple[dict[str, Any], v1.RunPodSandboxRequest] | None:
        """The pause container and its record; None for an id that is nothing or something else."""
        validation.require("pod_sandbox_id", sandbox_id)
        try:
            found: dict[str, Any] = await self._engine.call(self._engine.client.inspect_container, sandbox_id)
        except NotFound:
            return None
        # The engine also finds by name and by a prefix of the id; CRI's ids are whole.
        record = self._records.sandboxes.get(found) if found["Id"] == sandbox_id else None
        return (found, record) if record is not None else None

    async def _require_network(self, network: NetworkRequest, undo: AsyncExitStack) -> None:
        if not network.is_named:
            return

        async def require() -> None:
            if await self._networks.require(network):
                undo.push_async_callback(self._release_network, network)

        await uninterrupted(require())

    async def _release_network(self, network: NetworkRequest) -> None:
        if network.is_named:
            await uninterrupted(self._networks.release(network.network))

    async def _create(self, name: str, config: Mapping[str, Any], undo: AsyncExitStack) -> str:
        """Create the pause container and register its removal."""
        while True:
            seen = self._pause_image.loads
            try:
                made = await self._engine.call(self._engine.client.create_container_from_config, config, name)
            except NotFound:
                # Of all that the config names only the image is looked for now; somebody may have removed it.
                await self._pause_image.load(seen)
            except FailedPrecondition as error:
                if not is_conflict(error):
                    raise
                await self._clear_name(name)
            else:
                sandbox_id = str(made["Id"])
                undo.push_async_callback(self._discard, sandbox_id)
                return sandbox_id

    async def _start(self, sandbox_id: str, network: NetworkRequest, undo: AsyncExitStack) -> None:
        for attempt in range(NETWORK_TRIES):
            try:
                await self._engine.call(self._engine.client.start, sandbox_id)
            except NotFound as error:
                # The container is there; what is not found is its network.
                if not network.is_named:
                    raise FailedPrecondition(f"the sandbox cannot start: {error.message}") from error
                if attempt == NETWORK_TRIES - 1:
                    raise Aborted(f"network {network.network!r} was removed again and again; try again") from error
                await self._require_network(network, undo)
            else:
                return

    async def _discard(self, sandbox_id: str) -> None:
        await uninterrupted(self._remove_unstarted(sandbox_id))

    async def _remove_unstarted(self, sandbox_id: str) -> None:
        await self._removal.end_forgotten(sandbox_id)
        await self._removal.remove(sandbox_id)

    async def _clear_name(self, name: str) -> None:
        """Make way for a sandbox whose name is taken: by a leftover of a crash, or by a sandbox that stands."""
        try:
            found = await self._engine.call(self._engine.client.inspect_container, name)
        except NotFound:
            return
        state = found["State"]["Status"]
        if state in ("removing", "dead"):
            raise Aborted(f"the sandbox {found['Id']} with this metadata is being removed; try again")
        if state != "created" and not sandbox_status.half_started(found):
            word = "ready" if found["State"]["Running"] else "not ready"
            raise AlreadyExists(
                f"sandbox {found['Id']} has this metadata already and is {word}; remove it or raise metadata.attempt",
                details={"pod_sandbox_id": found["Id"]},
            )
        await self._remove_unstarted(found["Id"])
