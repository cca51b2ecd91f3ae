"""Sandboxes, from run to removal."""

from __future__ import annotations

import asyncio
import builtins
import secrets
from contextlib import ExitStack

from cri import filters, networks, validation
from cri.errors import AlreadyExists, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.fake.containers import Containers
from runtimes.fake.networks import Endpoint
from runtimes.fake.sandbox import Sandbox, key_of
from runtimes.fake.world import World
from runtimes.shared import sandbox_rules
from runtimes.shared.sandbox_rules import HOST_NETWORK

HANDLERS = ("", "fake")
"""Runtime handlers; the empty name is the default."""


class Sandboxes:
    """RunPodSandbox to RemovePodSandbox."""

    def __init__(self, world: World, containers: Containers) -> None:
        self._world = world
        self._containers = containers

    def run(self, request: v1.RunPodSandboxRequest) -> str:
        """A READY sandbox's id. Raises AlreadyExists naming the sandbox that has this metadata."""
        config = request.config
        validation.sandbox_config(config)
        if request.runtime_handler not in HANDLERS:
            raise InvalidArgument(
                f"runtime_handler: there is no {request.runtime_handler!r}; write {HANDLERS[-1]!r}, or nothing"
            )
        sandbox_rules.sysctls(config.linux)
        self._refuse_twin(config.metadata)
        with ExitStack() as undo:
            endpoint = self._join(config)
            undo.callback(self._world.networks.leave, endpoint)
            if config.linux.security_context.namespace_options.network != v1.NODE:
                undo.callback(self._world.ports.publish(list(config.port_mappings), endpoint.accept))
            identity = secrets.token_hex(32)
            sandbox = Sandbox(
                identity, config, request.runtime_handler, self._world.clock.now_ns(), endpoint, undo.pop_all().close
            )
        self._world.sandboxes[identity] = sandbox
        self._world.sandbox_ids[sandbox.key] = identity
        self._world.emit(v1.CONTAINER_CREATED_EVENT, identity, sandbox)
        self._world.emit(v1.CONTAINER_STARTED_EVENT, identity, sandbox)
        return identity

    def _join(self, config: v1.PodSandboxConfig) -> Endpoint:
        request = networks.read(config.annotations)
        if sandbox_rules.network_name(config, request, reserved=()) == HOST_NETWORK:
            return self._world.networks.host
        return self._world.networks.join(request, config.hostname or config.metadata.name)

    def _refuse_twin(self, metadata: v1.PodSandboxMetadata) -> None:
        twin = self._world.sandboxes.get(self._world.sandbox_ids.get(key_of(metadata), ""))
        if twin is not None:
            word = "ready" if twin.state == v1.SANDBOX_READY else "not ready"
            raise AlreadyExists(
                f"sandbox {twin.id} has this metadata already and is {word}; remove it or raise metadata.attempt",
                details={"pod_sandbox_id": twin.id},
            )

    async def stop(self, sandbox_id: str) -> None:
        """CRI: kills the members, then gives the network back; an unknown id succeeds."""
        sandbox = self._world.sandboxes.get(validation.require("pod_sandbox_id", sandbox_id))
        if sandbox is None:
            return
        while members := [member for member in sandbox.containers.values() if member.running]:
            await asyncio.gather(*(member.stop(0) for member in members))  # others may be started meanwhile
        self._shut(sandbox)

    def die(self, sandbox_id: str) -> None:
        """The sandbox's own process ends; its containers run on without a network. Raises NotFound."""
        self._shut(self._world.sandbox(sandbox_id))

    def _shut(self, sandbox: Sandbox) -> None:
        was_ready = sandbox.state == v1.SANDBOX_READY
        sandbox.shut()
        if was_ready:
            self._world.emit(v1.CONTAINER_STOPPED_EVENT, sandbox.id, sandbox)

    async def remove(self, sandbox_id: str) -> None:
        """CRI: stops it and removes the members too; an unknown id succeeds."""
        await self.stop(sandbox_id)
        sandbox = self._world.sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        await asyncio.gather(*(self._containers.remove(member) for member in list(sandbox.containers)))
        if self._world.sandboxes.pop(sandbox_id, None) is None:
            return  # another call has removed it meanwhile
        del self._world.sandbox_ids[sandbox.key]
        self._world.emit(v1.CONTAINER_DELETED_EVENT, sandbox_id, sandbox)

    def status(self, sandbox_id: str, *, verbose: bool) -> v1.PodSandboxStatusResponse:
        """Raises NotFound."""
        sandbox = self._world.sandbox(validation.require("pod_sandbox_id", sandbox_id))
        return v1.PodSandboxStatusResponse(
            status=sandbox.status(),
            info=sandbox.info() if verbose else {},
            containers_statuses=[container.status() for container in sandbox.containers.values()],
            timestamp=self._world.clock.now_ns(),
        )

    def list(self, wanted: v1.PodSandboxFilter) -> builtins.list[v1.PodSandbox]:
        """What matches the filter, newest first."""
        return filters.sandboxes((sandbox.message() for sandbox in self._world.sandboxes.values()), wanted)

    def update_resources(self, request: v1.UpdatePodSandboxResourcesRequest) -> None:
        """For information, as in ``LinuxPodSandboxConfig``. Raises NotFound."""
        sandbox = self._world.sandbox(validation.require("pod_sandbox_id", request.pod_sandbox_id))
        validation.resources("overhead", request.overhead)
        validation.resources("resources", request.resources)
        if request.HasField("overhead"):
            sandbox.config.linux.overhead.CopyFrom(request.overhead)
        if request.HasField("resources"):
            sandbox.config.linux.resources.CopyFrom(request.resources)
