"""How minicri finds the engine and opens it. Imported whenever runtimes are listed, so nothing heavy is up here."""

from __future__ import annotations

from typing import ClassVar

from pydantic import field_validator

from cri import plugins
from cri.errors import CRIError
from cri.plugins import Backend, BackendConfig, Probe
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1


class MineConfig(BackendConfig):
    """The section ``[runtimes.mine]``. Every field is checked before anything starts."""

    engine: str = "fake"
    """The installed runtime that does the work; yours has an address here."""

    @field_validator("engine")
    @classmethod
    def _is_another(cls, name: str) -> str:
        if name == MineBackend.name:
            raise ValueError("mine cannot be its own engine; name another installed runtime")
        return name


class MineBackend(Backend[MineConfig]):
    """``auto`` takes the runtime with the lowest rank that answers; None is never."""

    name: ClassVar[str] = "mine"
    auto_rank: ClassVar[int | None] = None
    config = MineConfig

    async def probe(self, config: MineConfig) -> Probe:
        """An engine that is not there is an answer, not an error."""
        try:
            async with await self.open(config) as runtime:
                version = await runtime.version(v1.VersionRequest())
        except CRIError as error:
            return Probe(False, error.message)
        return Probe(True, f"over {config.engine}", version=version.runtime_version, api=version.runtime_api_version)

    async def open(self, config: MineConfig) -> Runtime:
        from .runtime import MineRuntime

        found = plugins.find(config.engine)
        return MineRuntime(await found.open(found.config()))
