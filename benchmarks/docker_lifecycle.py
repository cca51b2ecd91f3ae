"""Lives of sandboxes and containers on Docker: by its SDK, and by minicri."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import docker

import cri
from benchmarks.docker_ways import Direct
from benchmarks.lifecycle import compared
from benchmarks.result import Absent, Result
from benchmarks.ways import Minicri
from cri.errors import CRIError


async def run() -> AsyncIterator[Result]:
    """Raises Absent where no engine answers, or one without the image."""
    with tempfile.TemporaryDirectory(prefix="minicri-bench-") as path:
        async with AsyncExitStack() as stack:
            try:
                here = Minicri(await stack.enter_async_context(cri.open("docker")), Path(path))
                direct = stack.enter_context(closing(await Direct.like(docker.from_env().api, here)))
            except CRIError as error:
                raise Absent(error.message) from error
            async for result in compared("docker", here, direct, "by the SDK", Path(path)):
                yield result
