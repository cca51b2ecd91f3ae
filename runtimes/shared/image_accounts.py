"""The accounts of images, each read once: an image never changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from runtimes.shared.accounts import Accounts
from runtimes.shared.inflight import uninterrupted

SIZE_LIMIT = 1 << 20
"""Bytes of an account file that are read; an image is not trusted to be reasonable."""

LINKS = 8
"""Symbolic links that are followed on the way to an account file."""

_KEPT = 1024

ReadFile = Callable[[str], Awaitable[str]]
"""The text at a path of the image, through symbolic links; empty where there is nothing. Raises FailedPrecondition
beyond SIZE_LIMIT."""


class ImageFiles(Protocol):
    """How an engine shows the files of an image."""

    def opened(self, image_id: str) -> AbstractAsyncContextManager[ReadFile]:
        """A way to read while the block lasts. Raises NotFound for an image that is not there."""


class ImageAccounts:
    """Accounts by image id."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files
        self._known: dict[str, Accounts] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def of(self, image_id: str) -> Accounts:
        """Raises NotFound for an image that vanished, FailedPrecondition for account files beyond SIZE_LIMIT."""
        async with self._reading.setdefault(image_id, asyncio.Lock()):
            if image_id not in self._known:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                    self._reading = {image_id: self._reading[image_id]}
                self._known[image_id] = await uninterrupted(self._read(image_id))
            return self._known[image_id]

    async def _read(self, image_id: str) -> Accounts:
        async with self._files.opened(image_id) as read:
            return Accounts(await read("/etc/passwd"), await read("/etc/group"))
