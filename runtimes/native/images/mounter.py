"""One thread that mounts: its working directory is that of the layers, and no other thread's changes with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from runtimes.native import kernel

T = TypeVar("T")


class Mounter:
    """The thread starts with the first mount."""

    def __init__(self, layers: Path) -> None:
        self._layers = layers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="native-mounts", initializer=self._move)

    def close(self) -> None:
        """Safe to call twice."""
        self._thread.shutdown()

    async def run(self, work: Callable[[], T]) -> T:
        """``work`` in the thread, to its end: what it mounts is known to whoever unmounts it, cancelled or not."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _move(self) -> None:
        kernel.unshare(kernel.CLONE_FS)
        os.chdir(self._layers)
