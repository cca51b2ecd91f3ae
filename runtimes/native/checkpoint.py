"""CheckpointContainer: a running container's state into an archive, by the OCI runtime and CRIU."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
from pathlib import Path

from cri.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.containers import Containers
from runtimes.native.killing import RuntimeOf
from runtimes.native.locks import Locks
from runtimes.native.places import Places
from runtimes.native.records import ContainerRecord
from runtimes.native.whole_files import written

LIMIT = 600.0
"""Seconds, for a request without a limit of its own."""


class Checkpoint:
    """The call of that name."""

    def __init__(self, places: Places, locks: Locks, containers: Containers, runtime_of: RuntimeOf) -> None:
        self._places = places
        self._locks = locks
        self._containers = containers
        self._runtime_of = runtime_of

    async def run(self, request: v1.CheckpointContainerRequest) -> None:
        """Write ``location`` and let the container run on. Raises InvalidArgument, NotFound, FailedPrecondition,
        DeadlineExceeded after ``timeout`` seconds, Unimplemented where CRIU is missing. A failure leaves no file."""
        place = Path(request.location)
        if not place.is_absolute():
            raise InvalidArgument(f"location: {request.location!r} is no absolute path")
        if request.timeout < 0:
            raise InvalidArgument(f"timeout: {request.timeout} is negative; 0 is the runtime's own limit")
        record = self._containers.running(request.container_id)
        if shutil.which("criu") is None:
            raise Unimplemented("checkpoints are made by criu, which is missing; install the package criu")
        seconds = float(request.timeout) or LIMIT
        try:
            async with asyncio.timeout(seconds), self._locks.hold("checkpoint", record.id):
                await self._write(record, place, seconds)
        except TimeoutError as error:
            raise DeadlineExceeded(f"container {record.id} was not written within {seconds:g} s") from error
        except OSError as error:
            raise FailedPrecondition(f"location: {place} cannot be written: {error}") from error

    async def _write(self, record: ContainerRecord, place: Path, seconds: float) -> None:
        bundle = self._places.container(record.id)
        images, work = bundle / "checkpoint", bundle / "checkpoint.work"
        try:
            for folder in (images, work):
                shutil.rmtree(folder, ignore_errors=True)  # of one whose process was killed
                folder.mkdir(mode=0o700)
            ended = await self._runtime_of(record).checkpoint(record.id, images, seconds)
            if ended.code:
                raise FailedPrecondition(f"container {record.id} cannot be checkpointed: {ended.words}")
            await asyncio.to_thread(_archive, place, bundle)
        finally:
            for folder in (images, work):
                shutil.rmtree(folder, ignore_errors=True)


def _archive(place: Path, bundle: Path) -> None:
    with written(place) as file, tarfile.open(fileobj=file, mode="w:") as archive:
        for name in ("checkpoint", "config.json"):
            archive.add(bundle / name, name)
