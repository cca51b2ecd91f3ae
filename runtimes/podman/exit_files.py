"""The files in which Podman's monitors note that containers have ended: Podman knows by them, before it tells."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from cri.logs.inotify import Watch

PATIENCE = 0.05
"""Seconds that a note may be late for its process's end before the engine is asked: Podman takes a note away again when
it has tidied up, so it may have come and gone."""

_OPTION = b"--exit-dir"


class ExitFiles:
    """Where they are, an engine does not say. Each of its monitors was told, so the first that is seen tells."""

    def __init__(self) -> None:
        self._directory: Path | None = None

    def learn(self, monitor: int) -> None:
        """From a process that may be a monitor, 0 for none."""
        if self._directory is None and monitor:
            with suppress(OSError, ValueError):
                words = Path("/proc", str(monitor), "cmdline").read_bytes().split(b"\0")
                self._directory = Path(os.fsdecode(words[words.index(_OPTION) + 1]))

    async def noted(self, container_id: str) -> bool:
        """Wait for the note on a container whose process has ended; False where none is seen soon."""
        if self._directory is None:
            return False
        note = self._directory / container_id
        with suppress(TimeoutError, OSError), Watch(self._directory) as watch:
            async with asyncio.timeout(PATIENCE):
                while not note.exists():
                    await watch.changed()
            return True
        return False
