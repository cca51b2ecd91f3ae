"""CheckpointContainer: a running container's processes into an archive, by CRIU on the engine's host.

Docker writes a directory, and of the processes only: no files of the container. The archive has that directory as
``checkpoint``, and beside it ``config.dump``, as those of other engines.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import tarfile
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cri.errors import CRIError, FailedPrecondition, Internal, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.containers import Containers
from runtimes.docker.engine import Engine
from runtimes.shared import checkpoints

_NAME = "checkpoint"

_NO_CRIU = re.compile(r'exec: "criu": executable file not found|CRIU version check failed')
_CRIU_FAILED = re.compile(r"criu failed")
"""The engine answers 500 to both."""


class Checkpoint:
    """The call of that name."""

    def __init__(self, engine: Engine, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers

    async def run(self, request: v1.CheckpointContainerRequest) -> None:
        """Write ``location`` and let the container run on. Raises as ``checkpoints.unfinished``, and Unimplemented for
        an engine that is elsewhere, was not started with ``experimental``, or lacks CRIU. A failure leaves no file."""
        async with checkpoints.unfinished(request, self._containers) as made:
            facts = await self._engine.facts()
            if not facts.features.checkpoints:
                raise Unimplemented("this engine makes no checkpoints: it was not started with `experimental`")
            if not self._engine.is_local:
                raise Unimplemented(f"the engine at {self._engine.address} writes checkpoints on its own host only")
            parent = made.place.parent
            # What the engine still writes when it is late may be in the way of the removal; the next try has its own.
            with tempfile.TemporaryDirectory(dir=parent, prefix=".checkpoint-", ignore_cleanup_errors=True) as folder:
                await self._dump(request.container_id, folder, made.seconds)
                await asyncio.to_thread(_pack, Path(folder, _NAME), made.place, _description(made.found))

    async def _dump(self, container_id: str, folder: str, patience: float) -> None:
        body = json.dumps({"CheckpointID": _NAME, "CheckpointDir": folder, "Exit": False}).encode()
        path = f"/containers/{container_id}/checkpoints"
        try:
            async with self._engine.stream("POST", path, body=body, patience=patience) as answer:
                async for _ in answer.chunks():
                    pass
        except CRIError as error:
            raise explained(error) from error


def explained(error: CRIError) -> CRIError:
    """By its words, which are all that tells the two apart."""
    if not isinstance(error, Internal):
        return error
    if _NO_CRIU.search(error.message):
        return Unimplemented(f"this engine makes no checkpoints: {error.message}")
    if _CRIU_FAILED.search(error.message):
        return FailedPrecondition(f"this container cannot be written: {error.message}")
    return error


def _description(found: Mapping[str, Any]) -> dict[str, str]:
    """What other engines write of the container that it was."""
    return {
        "id": found["Id"],
        "name": found["Name"].removeprefix("/"),
        "rootfsImage": found["Image"],
        "rootfsImageName": found["Config"]["Image"],
        "runtime": found["HostConfig"].get("Runtime") or "",
        "createdTime": found["Created"],
        "checkpointedTime": datetime.fromtimestamp(time.time(), UTC).isoformat(),
    }


def _pack(directory: Path, place: Path, description: Mapping[str, str]) -> None:
    with checkpoints.create(place) as file, tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(directory, arcname=_NAME)
        words = json.dumps(description).encode()
        entry = tarfile.TarInfo("config.dump")
        entry.size, entry.mode = len(words), 0o600
        archive.addfile(entry, io.BytesIO(words))
