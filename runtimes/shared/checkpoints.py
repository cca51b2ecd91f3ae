"""What is the same for every engine about a request for a checkpoint: its checks, its time, and its file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from cri.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.shared.live_container import Containers, running_container

LIMIT = 600.0
"""Seconds, for a request without a limit of its own."""


class Unfinished(NamedTuple):
    """A checkpoint to be made: ``place`` is its file for now, ``found`` what the engine says of the container."""

    place: Path
    seconds: float
    found: dict[str, Any]


@asynccontextmanager
async def unfinished(request: v1.CheckpointContainerRequest, containers: Containers) -> AsyncIterator[Unfinished]:
    """For the block that writes the file, which gets its name at the end; a failure leaves none. Raises
    InvalidArgument, NotFound, FailedPrecondition for a container that does not run or a place that cannot be written,
    DeadlineExceeded after ``timeout`` seconds."""
    place = Path(request.location)
    if not place.is_absolute():
        raise InvalidArgument(f"location: {request.location!r} is no absolute path")
    if request.timeout < 0:
        raise InvalidArgument(f"timeout: {request.timeout} is negative; 0 is the runtime's own limit")
    found = await running_container(containers, request.container_id)
    seconds = float(request.timeout) or LIMIT
    made = Unfinished(place.with_name(place.name + ".tmp"), seconds, found)
    try:
        async with asyncio.timeout(seconds):
            yield made
        made.place.rename(place)
    except TimeoutError as error:
        raise DeadlineExceeded(f"container {request.container_id} was not written within {seconds:g} s") from error
    except OSError as error:
        raise FailedPrecondition(f"location: {place} cannot be written: {error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            made.place.unlink()


def create(place: Path) -> IO[bytes]:
    """A new file that only its owner may read, as it holds all that the container had in memory."""
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    return os.fdopen(file, "wb")
