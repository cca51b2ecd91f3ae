"""The plug-in: how minicri looks for a Docker engine and opens it. The SDK is imported only inside the methods."""

from __future__ import annotations

from typing import ClassVar

from cri.errors import CRIError
from cri.plugins import Backend, Probe
from cri.runtime import Runtime
from runtimes.docker.config import DockerConfig

PROBE_TIMEOUT = 3.0
"""Seconds that a look at the engine may take."""


class DockerBackend(Backend[DockerConfig]):
    """Docker Engine 20.10 or newer."""

    name: ClassVar[str] = "docker"
    auto_rank: ClassVar[int | None] = 10
    config = DockerConfig

    async def probe(self, config: DockerConfig) -> Probe:
        """Ask the engine for its version; whatever goes wrong is an engine that cannot be used, and why."""
        from runtimes.docker.engine import Engine

        try:
            engine = Engine(config.model_copy(update={"call_timeout": min(PROBE_TIMEOUT, config.call_timeout)}))
            try:
                facts = await engine.facts()
            finally:
                await engine.aclose()
        except CRIError as error:
            return Probe(available=False, detail=error.message)
        return Probe(
            available=True,
            detail=f"Docker Engine {facts.engine_version} at {engine.address}",
            version=facts.engine_version,
            api=facts.api_version,
            features=facts.features.as_dict(),
        )

    async def open(self, config: DockerConfig) -> Runtime:
        """Raises Unavailable when no engine answers, FailedPrecondition when it is older than API 1.41."""
        from runtimes.docker.runtime import DockerRuntime

        return await DockerRuntime.open(config)
