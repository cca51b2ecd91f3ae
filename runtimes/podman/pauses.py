"""The pause processes of sandboxes, held so that the kernel tells whether a sandbox is ready: no engine is asked."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cri.v1 import api_pb2 as v1
from runtimes.shared import processes


class ReadySandbox(NamedTuple):
    """What a container needs to know of the sandbox that it joins."""

    request: v1.RunPodSandboxRequest
    infra_id: str


class Pauses:
    """Holds a process from ``hold`` until it ends. To be closed."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, ReadySandbox]] = {}

    def close(self) -> None:
        for sandbox_id in tuple(self._held):
            self._release(sandbox_id)

    async def hold(self, sandbox_id: str, ready: ReadySandbox, pid_file: Path) -> None:
        """Of a ready sandbox, unless its process is not to be seen from here."""
        pid = await asyncio.to_thread(_number_in, pid_file)
        if not pid or sandbox_id in self._held:
            return
        with suppress(OSError):
            handle = os.pidfd_open(pid)
            if not processes.is_of_container(pid, ready.infra_id):
                os.close(handle)
                return
            self._held[sandbox_id] = handle, ready
            asyncio.get_running_loop().add_reader(handle, self._release, sandbox_id)

    def get(self, sandbox_id: str) -> ReadySandbox | None:
        """What is known of a sandbox that is certainly ready."""
        handle, ready = self._held.get(sandbox_id, (-1, None))
        return ready if ready is not None and not processes.is_over(handle) else None

    def _release(self, sandbox_id: str) -> None:
        handle, _ = self._held.pop(sandbox_id)
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)


def _number_in(path: Path) -> int:
    """0 where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
