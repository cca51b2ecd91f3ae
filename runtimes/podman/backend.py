"""The plug-in: how minicri looks for a Podman service and opens it. podman-py is imported only inside the methods."""

from __future__ import annotations

from typing import ClassVar

from cri.errors import CRIError
from cri.plugins import Backend, Probe
from cri.runtime import Runtime
from runtimes.podman.config import PodmanConfig

PROBE_TIMEOUT = 3.0
"""Seconds that a look at the engine may take."""


class PodmanBackend(Backend[PodmanConfig]):
    """Podman 4.3 or newer."""

    name: ClassVar[str] = "podman"
    auto_rank: ClassVar[int | None] = 20
    config = PodmanConfig

    async def probe(self, config: PodmanConfig) -> Probe:
        """Ask the engine for its version; whatever goes wrong is an engine that cannot be used, and why."""
        from runtimes.podman.engine import Engine

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
            detail=f"Podman {facts.engine_version} at {engine.address}",
            version=facts.engine_version,
            api=facts.api_version,
            features=facts.features.as_dict(),
        )

    async def open(self, config: PodmanConfig) -> Runtime:
        """Raises Unavailable when no engine answers, FailedPrecondition when it is older than 4.3."""
        from runtimes.podman.runtime import PodmanRuntime

        return await PodmanRuntime.open(config)
