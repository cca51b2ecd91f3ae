"""Keeping the store below a size: images that nobody used for longest go first."""

from __future__ import annotations

import time

from runtimes.native.config import ImageSettings
from runtimes.native.images.records import ImageRecord
from runtimes.native.images.store import Store

YOUNG = 120.0
"""Seconds for which an image is spared after a pull, or after a container was made of it: it may be needed now."""


class Collection:
    """Does nothing unless the settings say how much is too much."""

    def __init__(self, settings: ImageSettings, store: Store) -> None:
        self._settings = settings
        self._store = store

    async def run(self) -> None:
        """Remove unused images, if there is too much, until there is little enough or nothing left to remove."""
        if not self._settings.gc_high or self._store.layers.used() <= self._settings.gc_high:
            return
        before_ns = time.time_ns() - int(YOUNG * 1e9)
        for image in sorted(self._store.records.all(), key=lambda each: each.used_ns):
            if self._store.layers.used() <= self._settings.low:
                break
            if image.used_ns < before_ns and not is_pinned(image, self._settings):
                self._store.records.forget_unused(image.id)
        await self._store.sweep.run()


def is_pinned(image: ImageRecord, settings: ImageSettings) -> bool:
    """Whether an image is never removed for the space it takes."""
    return any(name in settings.pinned for name in image.tags)
