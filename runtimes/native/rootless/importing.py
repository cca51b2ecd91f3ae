"""``python -m runtimes.native.rootless.importing CONFIG PATH NAME PLATFORM``: images from a file, beside the server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cri.errors import CRIError
from runtimes.native.config import NativeConfig
from runtimes.native.rootless import answers
from runtimes.native.rootless.server import inside
from runtimes.native.runtime import NativeRuntime


async def take_in(config: NativeConfig, path: Path, name: str, platform: str) -> None:
    try:
        async with await NativeRuntime.open(inside(config)) as runtime:
            answers.give({"ids": await runtime.import_image(path, name, platform)})
    except (CRIError, OSError) as error:
        answers.fail(error)


if __name__ == "__main__":
    asyncio.run(take_in(NativeConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:5]))
