"""Lives of sandboxes and containers on Podman: by its libpod API alone, and by minicri."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import cri
from benchmarks.lifecycle import compared
from benchmarks.podman_ways import Direct
from benchmarks.result import Absent, Result
from benchmarks.ways import Minicri
from cri.errors import CRIError


async def run() -> AsyncIterator[Result]:
    """Raises Absent where no service answers, or one without the image."""
    with tempfile.TemporaryDirectory(prefix="minicri-bench-") as path:
        async with AsyncExitStack() as stack:
            try:
                here = Minicri(await stack.enter_async_context(cri.open("podman")), Path(path))
                direct = stack.enter_context(closing(await Direct.begin(here)))
            except CRIError as error:
                raise Absent(error.message) from error
            async for result in compared("podman", here, direct, "by the libpod API", Path(path)):
                yield result
