"""What the tests of every real engine do behind the runtime's back. Each engine's package has a fixture ``hand``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cri.runtime import Runtime

RunSandbox = Callable[..., Awaitable[str]]
"""``await run_sandbox("web", annotations=…)`` is the id of a new sandbox, which goes with the test."""


class EngineHand(Protocol):
    """The engine of ``runtime``, without CRI."""

    def pause(self, container_id: str) -> None: ...

    def remove(self, container_id: str) -> None:
        """Kill and remove it."""

    def load(self, archive: bytes) -> None:
        """Take in the images of an archive as ``docker save`` makes it."""

    def remove_image(self, reference: str) -> None: ...

    def opened(self) -> AbstractAsyncContextManager[Runtime]:
        """Another runtime on the same engine."""

    def distant(self) -> AbstractAsyncContextManager[Runtime]:
        """One that takes the engine for one on another host."""


class VolumesHand(EngineHand, Protocol):
    """The same of an engine that has volumes."""

    def volumes(self) -> set[str]:
        """The names of all volumes."""

    def volumes_of(self, container_id: str) -> set[str]:
        """The names of those that this container has."""
