"""Sandboxes: a pod each, whose infra container holds the network and whatever else the containers share."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from cri import filters, networks, validation
from cri.annotations import EXTRA_HOSTS
from cri.errors import Aborted, AlreadyExists, CRIError, FailedPrecondition, InvalidArgument, NotFound
from cri.networks import HOST_GATEWAY, NO_NETWORK, NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.podman import directories, pod_cgroup, sandbox_config, sandbox_status
from runtimes.podman.ends import noted_pid
from runtimes.podman.engine import Engine
from runtimes.podman.engine_errors import is_conflict
from runtimes.podman.leftovers import Leftovers
from runtimes.podman.networks import Networks
from runtimes.podman.pause_image import PauseImage
from runtimes.podman.ready_sandbox import ReadySandbox
from runtimes.podman.removal import OVER, Removal
from runtimes.shared import labels
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.names import sandbox_name
from runtimes.shared.pauses import Pauses
from runtimes.shared.records import Records

NETWORK_TRIES = 3
"""A named network may be removed, as empty, between our look and the pod's creation; then it is made once more."""

NAME_TRIES = 4
"""What has the name is cleared away, and may be back: another process may be making the same sandbox."""

KEPT = 4096

SHOWN = 64
"""Looks that wait for the event they serve, which mostly came before them."""

HALF_MADE = "Created"
"""Podman's word for the state of a pod that was never started, with or without its infra container."""

LOOPBACK = "127.0.0.1"
"""The host, for a sandbox on the host's own network."""


class Sandboxes:
    """RunPodSandbox to RemovePodSandbox."""

    def __init__(self, engine: Engine, records: Records, removal: Removal, named: Networks) -> None:
        self._engine = engine
        self._records = records
        self._removal = removal
        self._networks = named
        self._leftovers = Leftovers(engine)
        self._pause_image = PauseImage(engine)
        self._starting: InFlight[str] = InFlight()
        self._looking: InFlight[ReadySandbox] = InFlight()
        self._pauses: Pauses[ReadySandbox] = Pauses()
        self._infras: OrderedDict[str, str] = OrderedDict()
        """The names of the infra containers of sandboxes that were made here."""
        self._shown: OrderedDict[str, dict[str, Any]] = OrderedDict()

    async def run(self, request: v1.RunPodSandboxRequest) -> str:
        """Make and start a sandbox; its id. Raises AlreadyExists naming the sandbox that has this metadata."""
        validation.sandbox_config(request.config)
        name = sandbox_name(request.config.metadata)
        wanted = request.SerializeToString(deterministic=True)
        return await self._starting.run(name, wanted, lambda: self._run(name, request))

    async def _run(self, name: str, request: v1.RunPodSandboxRequest) -> str:
        network = networks.read(request.config.annotations)
        await self._pause_image.require()
        async with AsyncExitStack() as undo:
            await uninterrupted(self._require_network(network, undo))
            config = sandbox_config.pod(
                name,
                request,
                network,
                await self._engine.facts(),
                created_ns=time.time_ns(),
                default_cgroup_parent=self._engine.config.cgroup_parent,
                host_gateway=await self._host_gateway(request.config, network),
            )
            sandbox_id = await uninterrupted(self._create(name, config, network, undo))
            await self._engine.post_again(f"/pods/{sandbox_id}/start")
            undo.pop_all()
        self._infras[sandbox_id] = sandbox_config.infra_name(name)
        if len(self._infras) > KEPT:
            self._infras.popitem(last=False)
        return sandbox_id

    async def stop(self, sandbox_id: str) -> None:
        """CRI: kills the members, then gives the network back; an unknown id succeeds."""
        known = await self._find(sandbox_id)
        if known is None:
            return
        found, _ = known
        states = sandbox_status.member_states(found)
        await self._removal.kill_all(member for member, state in states.items() if state not in OVER)
        await self._halt(found)

    async def remove(self, sandbox_id: str) -> None:
        """CRI: removes the members too; an unknown id succeeds. A named network of ours goes with the last sandbox."""
        known = await self._find(sandbox_id)
        if known is None:
            return
        found, record = known
        await self._removal.remove_all(sandbox_status.member_states(found))
        await uninterrupted(self._remove_pod(found))
        self._forget(sandbox_id)
        await self._release_network(networks.read(record.config.annotations))

    def _forget(self, sandbox_id: str) -> None:
        self._pauses.forget(sandbox_id)
        self._infras.pop(sandbox_id, None)
        self._shown.pop(sandbox_id, None)
        self._records.sandboxes.forget(sandbox_id)

    def shown(self, sandbox_id: str) -> dict[str, Any] | None:
        """The infra container of a sandbox as the first look showed it running; told once."""
        return self._shown.pop(sandbox_id, None)

    async def status(self, sandbox_id: str) -> tuple[v1.PodSandboxStatus, dict[str, Any]]:
        """The status, and what the engine says: of the pod under ``Pod``, of its infra container under ``Infra``.
        Raises NotFound."""
        found, record = await self._require(sandbox_id)
        infra = await self._infra(found)
        return sandbox_status.status(found, infra, record), {"Pod": found, "Infra": infra}

    async def list(self, wanted: v1.PodSandboxFilter) -> list[v1.PodSandbox]:
        """What matches the filter, newest first. Sandboxes that are still being made are not there yet."""
        engine_filter = {"label": [f"{labels.KIND}={labels.SANDBOX}"]}
        listed = await self._engine.get("/pods/json", params={"filters": json.dumps(engine_filter)}) or ()
        items = []
        for found in listed:
            record = self._records.sandboxes.get(found)
            if record is not None and found["Name"] not in self._starting:
                items.append(sandbox_status.item(found, record))
        return filters.sandboxes(items, wanted)

    async def ready(self, sandbox_id: str) -> ReadySandbox:
        """What made a READY sandbox. Raises NotFound, FailedPrecondition when it is not ready."""
        if not self._engine.is_local:
            return await self._look(sandbox_id)
        if (known := self._pauses.get(sandbox_id)) is not None:
            return known
        await self._looking.run(sandbox_id, b"", lambda: self._look(sandbox_id))
        return self._pauses.get(sandbox_id) or await self._look(sandbox_id)

    async def _look(self, sandbox_id: str) -> ReadySandbox:
        found, record = await self._find_inside(sandbox_id) or await self._require(sandbox_id)
        if sandbox_status.state(found) != v1.SANDBOX_READY:
            raise FailedPrecondition(f"sandbox {sandbox_id} is not ready; make a new one")
        ready = ReadySandbox(record, sandbox_status.infra_id(found))
        if self._engine.is_local:
            pid = noted_pid(directories.pid_file(await self._engine.facts(), ready.infra_id))
            self._pauses.note(sandbox_id, ready, pid, ready.infra_id)
        return ready

    async def _find_inside(self, sandbox_id: str) -> tuple[dict[str, Any], v1.RunPodSandboxRequest] | None:
        """As ``_find``, of one that was made here: a look at its infra container says more, and the event of its start
        needs that look as well."""
        infra = await self._engine.inspect("containers", self._infras.get(sandbox_id, ""))
        if infra is None or infra.get("Pod") != sandbox_id:
            return None
        found = sandbox_status.pod_of(sandbox_id, infra)
        record = self._records.sandboxes.get(found)
        if record is None:
            return None
        if sandbox_status.state(found) == v1.SANDBOX_READY:
            self._shown[sandbox_id] = infra
            if len(self._shown) > SHOWN:
                self._shown.popitem(last=False)
        return found, record

    async def _infra(self, found: Mapping[str, Any]) -> dict[str, Any] | None:
        """The inspected infra container of a pod; None where somebody removed it."""
        return await self._engine.inspect("containers", sandbox_status.infra_id(found))

    async def _require(self, sandbox_id: str) -> tuple[dict[str, Any], v1.RunPodSandboxRequest]:
        known = await self._find(sandbox_id)
        if known is None:
            raise NotFound(f"no sandbox has the id {sandbox_id!r}", details={"pod_sandbox_id": sandbox_id})
        return known

    async def _find(self, sandbox_id: str) -> tuple[dict[str, Any], v1.RunPodSandboxRequest] | None:
        """The pod and its record; None for an id that is nothing or something else."""
        validation.require("pod_sandbox_id", sandbox_id)
        found = await self._engine.inspect("pods", sandbox_id)
        # The engine also finds by name and by a prefix of the id; CRI's ids are whole.
        record = self._records.sandboxes.get(found) if found is not None and found["Id"] == sandbox_id else None
        return (found, record) if found is not None and record is not None else None

    async def _require_network(self, network: NetworkRequest, undo: AsyncExitStack) -> None:
        if network.is_named and await self._networks.require(network):
            undo.push_async_callback(self._release_network, network)

    async def _host_gateway(self, config: v1.PodSandboxConfig, network: NetworkRequest) -> str:
        """The host's address as its sandboxes see it, where one is to have a name; else empty."""
        if HOST_GATEWAY not in (address for _, address in network.extra_hosts):
            return ""
        if config.linux.security_context.namespace_options.network == v1.NODE:
            return LOOPBACK
        if network.network == NO_NETWORK:
            raise InvalidArgument(f"{EXTRA_HOSTS}: a sandbox without a network cannot reach the host")
        return await self._networks.host_address(network.network)

    async def _release_network(self, network: NetworkRequest) -> None:
        if network.is_named:
            await uninterrupted(self._networks.release(network.network))

    async def _create(self, name: str, config: Mapping[str, Any], network: NetworkRequest, undo: AsyncExitStack) -> str:
        """Create the pod, with its network, and register its removal."""
        try:
            sandbox_id = await self._make(name, config, network, undo)
        except CRIError:
            # Podman 4 keeps a pod whose infra container it could not make.
            with suppress(CRIError):
                await self._remove_half_made(await self._engine.inspect("pods", name))
            raise
        undo.push_async_callback(self._discard, sandbox_id)
        return sandbox_id

    async def _make(self, name: str, config: Mapping[str, Any], network: NetworkRequest, undo: AsyncExitStack) -> str:
        missed = taken = 0
        while True:
            try:
                return str((await self._engine.post("/pods/create", body=config))["Id"])
            except NotFound as error:
                # Of all that the config names only the network can be missing.
                missed += 1
                if not network.is_named:
                    raise FailedPrecondition(f"the sandbox cannot be made: {error.message}") from error
                if missed == NETWORK_TRIES:
                    raise Aborted(f"network {network.network!r} was removed again and again; try again") from error
                await self._require_network(network, undo)
            except (AlreadyExists, FailedPrecondition) as error:
                taken += 1
                if not (is_conflict(error) or isinstance(error, AlreadyExists)) or taken == NAME_TRIES:
                    raise
                if not await self._clear_name(name):
                    raise

    async def _discard(self, sandbox_id: str) -> None:
        async def discard() -> None:
            found = await self._engine.inspect("pods", sandbox_id)
            if found is not None:
                await self._remove_pod(found)

        await uninterrupted(discard())

    async def _halt(self, found: Mapping[str, Any]) -> None:
        """End the infra container of an inspected pod at once, and give its network back; one that has ended, or is
        gone, is fine."""
        infra_id, state = sandbox_status.infra_id(found), sandbox_status.infra_state(found)
        if not state or state in OVER:
            return
        try:
            if state == "paused":
                await self._engine.post(f"/containers/{infra_id}/unpause")
            await self._engine.post(f"/containers/{infra_id}/stop", params={"timeout": 0, "ignore": True})
        except (NotFound, FailedPrecondition):  # it is gone, or not in a state from which it could go on
            return

    async def _remove_pod(self, found: Mapping[str, Any]) -> None:
        await self._halt(found)
        if self._engine.is_local:
            await asyncio.to_thread(pod_cgroup.end_exec_monitors, found)
        await self._removal.delete(f"/pods/{found['Id']}", {"force": True, "timeout": 0})
        if self._engine.is_local:
            await asyncio.to_thread(pod_cgroup.remove, found)

    async def _clear_name(self, name: str) -> bool:
        """Make way for a sandbox whose name, or whose infra container's, is taken by a leftover of a crash. Raises
        AlreadyExists for a sandbox that stands; False when it is something else that is there already."""
        found = await self._engine.inspect("pods", name)
        if found is not None and found["State"] != HALF_MADE:
            word = "ready" if sandbox_status.state(found) == v1.SANDBOX_READY else "not ready"
            raise AlreadyExists(
                f"sandbox {found['Id']} has this metadata already and is {word}; remove it or raise metadata.attempt",
                details={"pod_sandbox_id": found["Id"]},
            )
        await self._remove_half_made(found)
        return await self._leftovers.clear(sandbox_config.infra_name(name))

    async def _remove_half_made(self, found: Mapping[str, Any] | None) -> None:
        """Remove an inspected pod that was never started."""
        if found is not None and found["State"] == HALF_MADE:
            await self._remove_pod(found)
