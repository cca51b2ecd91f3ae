"""The plug-in: a fake is always there."""

from __future__ import annotations

from typing import ClassVar

from cri.errors import CRIError
from cri.plugins import Backend, Probe
from cri.runtime import Runtime
from runtimes.fake.config import FakeConfig

VERSION = "1.0.0"
"""Of the simulation; what Version answers as the runtime's version."""


class FakeBackend(Backend[FakeConfig]):
    """``auto`` never takes it: nobody who wants an engine should get a fake."""

    name: ClassVar[str] = "fake"
    auto_rank: ClassVar[int | None] = None
    config = FakeConfig

    async def probe(self, config: FakeConfig) -> Probe:
        """Available, unless its script cannot be read."""
        try:
            config.script()
        except CRIError as error:
            return Probe(False, error.message)
        return Probe(True, "in memory; runs nothing for real", version=VERSION, api="v1")

    async def open(self, config: FakeConfig) -> Runtime:
        """A world of its own for each caller. Raises InvalidArgument for a bad ``script_file``."""
        from runtimes.fake.runtime import FakeRuntime

        return FakeRuntime.open(config)
