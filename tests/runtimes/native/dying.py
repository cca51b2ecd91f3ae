"""``python -m tests.runtimes.native.dying CONFIG CALL REQUEST POINT``: an engine that is killed during a call.

A point is ``MODULE:FUNCTION``, with the module's name below ``runtimes.native``, and it dies when that is called; or
``MODULE:FUNCTION:N``, and it dies before the Nth line of that is done, counted from 1 in the order of doing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import cri
from cri.rpc import RPCS
from runtimes.native.config import NativeConfig


async def die(config: NativeConfig, call: str, request: Any, point: str) -> bool:
    """Whether it was killed there. It is dead in any case when this returns, and nothing was done for it."""
    words = [config.model_dump_json(), call, request.SerializeToString().hex(), point]
    command = [sys.executable, "-m", __name__, *words]
    process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[3])
    try:
        return await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def killer(point: str) -> Callable[[FrameType, str, Any], Any]:
    """A trace function."""
    module, function, *number = point.split(":")
    left = int(number[0]) if number else 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_qualname != function or frame.f_globals["__name__"] != f"runtimes.native.{module}":
            return None
        if event == "line":
            left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


async def _serve(config: dict[str, Any], attribute: str, data: bytes, point: str) -> None:
    (rpc,) = (rpc for rpc in RPCS if rpc.attribute == attribute)
    async with cri.open("native", **config) as runtime:
        trace = killer(point)
        threading.settrace(trace)
        sys.settrace(trace)
        await getattr(runtime, attribute)(rpc.request.FromString(data))


if __name__ == "__main__":
    _config, _call, _request, _point = sys.argv[1:]
    settings = NativeConfig.model_validate_json(_config).model_dump(mode="json")
    asyncio.run(_serve(settings, _call, bytes.fromhex(_request), _point))
