"""The look at a container before a command or a client is let into it."""

from __future__ import annotations

from typing import Any, Protocol

from cri import validation
from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1


class Containers(Protocol):
    """A backend's containers."""

    async def status(self, container_id: str) -> tuple[v1.ContainerStatus, dict[str, Any]]:
        """The status and what the engine says. Raises NotFound."""


async def running_container(containers: Containers, container_id: str) -> dict[str, Any]:
    """What the engine says of a container that runs. Raises NotFound, FailedPrecondition, InvalidArgument."""
    status, found = await containers.status(validation.require("container_id", container_id))
    if status.state != v1.CONTAINER_RUNNING:
        raise FailedPrecondition(f"container {container_id} is {found['State']['Status']}, not running")
    return found
