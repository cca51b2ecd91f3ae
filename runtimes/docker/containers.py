"""Containers in a sandbox, from create to remove."""

from __future__ import annotations

import time
from typing import Any

from cri import filters, platforms, validation
from cri.errors import AlreadyExists, FailedPrecondition, NotFound, PlatformMismatch
from cri.v1 import api_pb2 as v1
from runtimes.docker import container_config, container_status
from runtimes.docker.engine import Engine
from runtimes.docker.images import Images
from runtimes.docker.records import Records
from runtimes.docker.removal import Removal
from runtimes.docker.sandboxes import Sandboxes
from runtimes.shared import labels
from runtimes.shared.inflight import InFlight
from runtimes.shared.names import container_name


class Containers:
    """CreateContainer to RemoveContainer."""

    def __init__(
        self, engine: Engine, records: Records, removal: Removal, sandboxes: Sandboxes, images: Images
    ) -> None:
        self._engine = engine
        self._records = records
        self._removal = removal
        self._sandboxes = sandboxes
        self._images = images
        self._creating: InFlight[str] = InFlight()

    async def create(self, request: v1.CreateContainerRequest) -> str:
        """Create in a ready sandbox; the container's id."""
        validation.require("pod_sandbox_id", request.pod_sandbox_id)
        validation.container_config(request.config)
        sandbox = await self._sandboxes.spec(request.pod_sandbox_id)
        complete = v1.CreateContainerRequest(
            pod_sandbox_id=request.pod_sandbox_id, config=request.config, sandbox_config=sandbox.config
        )
        name = container_name(request.config.metadata, sandbox.config.metadata, request.pod_sandbox_id)
        wanted = request.SerializeToString(deterministic=True)
        return await self._creating.run(name, wanted, lambda: self._create(name, complete, sandbox))

    async def _create(self, name: str, request: v1.CreateContainerRequest, sandbox: v1.RunPodSandboxRequest) -> str:
        config = container_config.container(
            request,
            sandbox,
            await self._engine.facts(),
            created_ns=time.time_ns(),
            default_cgroup_parent=self._engine.config.cgroup_parent,
        )
        image = request.config.image
        wanted = platforms.wanted(image.annotations, request.config.annotations, sandbox.config.annotations)
        create = self._engine.client.create_container_from_config
        try:
            made = await self._engine.call(create, config, name, str(wanted) if wanted else None)
        except NotFound as error:
            if wanted and await self._images.find(image.image):
                raise PlatformMismatch(f"image {image.image} is not for {wanted}") from error
            raise
        except FailedPrecondition as error:
            raise AlreadyExists(f"sandbox {request.pod_sandbox_id} has a container {name} already") from error
        return str(made["Id"])

    async def start(self, container_id: str) -> None:
        """Start a created container. Raises NotFound, FailedPrecondition."""
        found, _ = await self._require(container_id)
        if container_status.state(found) != v1.CONTAINER_CREATED:
            raise FailedPrecondition(f"container {container_id} is {found['State']['Status']}, not created")
        await self._engine.call(self._engine.client.start, container_id)

    async def stop(self, container_id: str, timeout: float) -> None:
        """Stop signal, then SIGKILL after ``timeout`` seconds; an unknown id succeeds."""
        if await self._find(container_id) is None:
            return
        if timeout <= 0:
            await self._removal.kill(container_id)
            return
        seconds = timeout + self._engine.config.call_timeout
        try:
            await self._engine.call_within(seconds, self._engine.client.stop, container_id, int(timeout))
        except NotFound:
            return

    async def remove(self, container_id: str) -> None:
        """Kill and remove; an unknown id succeeds."""
        if await self._find(container_id) is None:
            return
        await self._removal.remove(container_id)
        self._records.containers.forget(container_id)

    async def status(self, container_id: str) -> tuple[v1.ContainerStatus, dict[str, Any]]:
        """The status and what the engine says. Raises NotFound."""
        found, record = await self._require(container_id)
        return container_status.status(found, record), found

    async def list(self, wanted: v1.ContainerFilter) -> list[v1.Container]:
        """What matches the filter, newest first."""
        engine_filter: dict[str, Any] = {"label": [f"{labels.KIND}={labels.CONTAINER}"]}
        if wanted.id:
            engine_filter["id"] = [wanted.id]
        listed = await self._engine.call(self._engine.client.containers, all=True, filters=engine_filter)
        pairs = ((found, self._records.containers.get(found)) for found in listed)
        return filters.containers((container_status.item(found, record) for found, record in pairs if record), wanted)

    async def _require(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest]:
        known = await self._find(container_id)
        if known is None:
            raise NotFound(f"no container has the id {container_id!r}", details={"container_id": container_id})
        return known

    async def _find(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest] | None:
        """The inspected container and its record; None for an id that is nothing or something else."""
        validation.require("container_id", container_id)
        try:
            found: dict[str, Any] = await self._engine.call(self._engine.client.inspect_container, container_id)
        except NotFound:
            return None
        record = self._records.containers.get(found) if found["Id"] == container_id else None
        return (found, record) if record is not None else None
