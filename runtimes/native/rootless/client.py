"""The engine as the user's processes see it: a client of the server, which is started where there is none."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from cri.client import Client
from cri.errors import FailedPrecondition
from runtimes.native import programs
from runtimes.native.config import NativeConfig
from runtimes.native.rootless import answers, subordinate
from runtimes.native.rootless.connection import SOCKET, hold
from runtimes.native.rootless.launcher import SERVER

_LAUNCHER = "runtimes.native.rootless.launcher"
_IMPORTING = "runtimes.native.rootless.importing"
_START = 60.0
_IMPORT = 3600.0


class RootlessRuntime(Client):
    """Made by ``open_runtime``. As long as it is open the server stays."""

    config: NativeConfig
    held = -1

    async def aclose(self) -> None:
        await super().aclose()
        if self.held >= 0:
            os.close(self.held)
            self.held = -1

    async def import_image(self, path: Path, name: str = "", platform: str = "") -> list[str]:
        """See ``ImportsImages``."""
        config = self.config.model_dump_json()
        where = await asyncio.to_thread(os.path.abspath, path)  # the other process is elsewhere
        answer = await _launch(self.config.run, _IMPORTING, config, where, name, platform, timeout=_IMPORT)
        return [str(each) for each in answer["ids"]]


async def open_runtime(config: NativeConfig) -> RootlessRuntime:
    """Raises FailedPrecondition for what this host or this user lacks, and where the user's engine runs already with
    another configuration."""
    subordinate.check()
    _prepare(config.run)
    held = await asyncio.to_thread(hold, config.run)
    try:
        text = config.model_dump_json()
        await _launch(config.run, SERVER, text, timeout=_START)
        if (config.run / "config.json").read_text() != text:
            raise FailedPrecondition(
                f"the native engine of this user runs already, with another configuration; see {config.run}/config.json"
            )
        runtime = RootlessRuntime.connect(f"unix://{config.run / SOCKET}")
    except BaseException:
        os.close(held)
        raise
    runtime.config, runtime.held = config, held
    return runtime


def _prepare(run: Path) -> None:
    run.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    run.mkdir(mode=0o700, exist_ok=True)
    found = run.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FailedPrecondition(f"{run} has to be this user's, and closed to everybody else (mode 0700)")


async def _launch(run: Path, module: str, *arguments: str, timeout: float) -> dict[str, Any]:
    command = [sys.executable, "-m", _LAUNCHER, str(run), module, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = await programs.run(command, timeout=timeout, environment=environment)
    return answers.take(ended.stdout.decode(), ended.words)
