"""Containers in a sandbox, from create to removal."""

from __future__ import annotations

import builtins

from cri import filters, validation
from cri.errors import AlreadyExists, FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.fake.container import Container
from runtimes.fake.creation import new_container
from runtimes.fake.puppet import puppet
from runtimes.fake.sandbox import Sandbox
from runtimes.fake.world import World


class Containers:
    """CreateContainer to RemoveContainer."""

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, request: v1.CreateContainerRequest) -> str:
        """Create in a ready sandbox; the container's id. Raises NotFound for sandbox or image."""
        validation.require("pod_sandbox_id", request.pod_sandbox_id)
        validation.container_config(request.config)
        sandbox = self._world.sandbox(request.pod_sandbox_id)
        if sandbox.state != v1.SANDBOX_READY:
            raise FailedPrecondition(f"sandbox {sandbox.id} is not ready; make a new one")
        _refuse_twin(sandbox, request.config.metadata)
        container = new_container(self._world, request.config, sandbox)
        self._world.containers[container.id] = container
        sandbox.containers[container.id] = container
        self._world.emit(v1.CONTAINER_CREATED_EVENT, container.id, sandbox)
        return container.id

    def start(self, container_id: str) -> None:
        """Start a created container. Raises NotFound, FailedPrecondition, InvalidArgument for an unknown command."""
        container = self._require(container_id)
        if container.sandbox.state != v1.SANDBOX_READY:
            raise FailedPrecondition(f"sandbox {container.sandbox.id} is not ready: nothing can be started in it")
        if container.state != v1.CONTAINER_CREATED:
            state = v1.ContainerState.Name(container.state)
            raise FailedPrecondition(
                f"container {container_id} is {state}; only a CONTAINER_CREATED one can be started"
            )
        image = self._world.image_name(container.config.image)
        rule = self._world.script.container_rule(container.config.metadata.name, image)
        if rule is not None and rule.start_error:
            container.fail_to_start(rule.start_error)
            raise FailedPrecondition(rule.start_error, details={"container_id": container_id})
        container.start(puppet(container, rule) if rule is not None else None)
        self._world.emit(v1.CONTAINER_STARTED_EVENT, container_id, container.sandbox)

    async def stop(self, container_id: str, timeout: float) -> None:
        """Stop signal, then SIGKILL after ``timeout`` seconds; an unknown id succeeds."""
        container = self._world.containers.get(validation.require("container_id", container_id))
        if container is not None:
            await container.stop(timeout)

    async def remove(self, container_id: str) -> None:
        """Kill and remove; an unknown id succeeds."""
        await self.stop(container_id, 0)
        container = self._world.containers.pop(container_id, None)
        if container is None:
            return
        del container.sandbox.containers[container_id]
        self._world.emit(v1.CONTAINER_DELETED_EVENT, container_id, container.sandbox)

    def status(self, container_id: str, *, verbose: bool) -> v1.ContainerStatusResponse:
        """Raises NotFound."""
        container = self._require(container_id)
        return v1.ContainerStatusResponse(status=container.status(), info=container.info() if verbose else {})

    def list(self, wanted: v1.ContainerFilter) -> builtins.list[v1.Container]:
        """What matches the filter, newest first."""
        return filters.containers((container.message() for container in self._world.containers.values()), wanted)

    def update_resources(self, request: v1.UpdateContainerResourcesRequest) -> None:
        """CRI: what is 0 or empty stays as it is. Raises NotFound, FailedPrecondition once it has exited."""
        container = self._require(request.container_id)
        validation.resources("linux", request.linux)
        if container.state == v1.CONTAINER_EXITED:
            raise FailedPrecondition(f"container {container.id} has exited; its limits cannot be changed any more")
        limits = container.config.linux.resources
        if request.linux.hugepage_limits:
            del limits.hugepage_limits[:]  # merging would add to the list
        limits.MergeFrom(request.linux)
        container.guest.memory_limit = limits.memory_limit_in_bytes

    def reopen_log(self, container_id: str) -> None:
        """Go on in a fresh file at the log path. Raises NotFound, FailedPrecondition; then no file is made."""
        container = self._require(container_id)
        if not container.running:
            state = v1.ContainerState.Name(container.state)
            raise FailedPrecondition(f"container {container_id} is {state}; only a running one has a log to reopen")
        log = container.stdout.log
        if log is None:
            return
        try:
            log.reopen()
        except OSError as error:
            raise FailedPrecondition(
                f"the log of container {container_id} cannot be reopened: {error.filename}: {error.strerror}"
            ) from error

    def _require(self, container_id: str) -> Container:
        return self._world.container(validation.require("container_id", container_id))


def _refuse_twin(sandbox: Sandbox, metadata: v1.ContainerMetadata) -> None:
    """CRI: a container is unique by (name, attempt) within its sandbox."""
    for other in sandbox.containers.values():
        if other.config.metadata == metadata:
            raise AlreadyExists(
                f"container {other.id} of this sandbox has the name {metadata.name!r} and attempt {metadata.attempt} "
                "already; remove it or raise metadata.attempt",
                details={"container_id": other.id},
            )
