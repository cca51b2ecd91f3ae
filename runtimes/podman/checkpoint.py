"""CheckpointContainer: a running container's state into an archive, by CRIU on the engine's host."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from cri.errors import CRIError, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman.containers import Containers
from runtimes.podman.engine import Engine
from runtimes.shared import checkpoints

_NO_CRIU = re.compile(r"(?i)\bcriu\b|not built with support for checkpoint|does not support checkpoint")


class Checkpoint:
    """The call of that name."""

    def __init__(self, engine: Engine, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers

    async def run(self, request: v1.CheckpointContainerRequest) -> None:
        """Write ``location`` and let the container run on. Raises as ``checkpoints.unfinished``, and Unimplemented
        where the engine lacks CRIU. A failure leaves no file."""
        async with checkpoints.unfinished(request, self._containers) as made:
            try:
                await self._export(request.container_id, made.place, made.seconds)
            except CRIError as error:
                if _NO_CRIU.search(error.message):
                    raise Unimplemented(f"this engine makes no checkpoints: {error.message}") from error
                raise

    async def _export(self, container_id: str, place: Path, patience: float) -> None:
        path = f"/containers/{container_id}/checkpoint"
        with checkpoints.create(place) as archive:
            params = {"export": True, "leaveRunning": True}
            async with self._engine.stream("POST", path, params=params, patience=patience) as answer:
                async for chunk in answer.chunks():
                    await asyncio.to_thread(archive.write, chunk)
