"""The plug-in: how minicri looks for a CRI endpoint and opens it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from pydantic import Field

from cri.errors import CRIError, Unavailable
from cri.plugins import Backend, BackendConfig, Probe
from cri.runtime import Runtime
from cri.tls import Tls
from cri.v1 import api_pb2 as v1


class RemoteConfig(BackendConfig):
    """Frozen. Where the endpoint is and how long to wait for it."""

    address: str
    """``unix:///path`` or ``host:port``."""

    tls: Tls | None = None
    """Certificates; required for ``host:port`` unless ``insecure``."""

    insecure: bool = False
    """Plaintext to ``host:port``; loopback only."""

    timeout: float = Field(default=120.0, gt=0)
    """Seconds for a unary call; see ``cri.client.Client`` for those that take longer by nature."""

    connect_timeout: float = Field(default=5.0, gt=0)
    """Seconds in which the endpoint has to say its version when it is opened or looked at."""


class RemoteBackend(Backend[RemoteConfig]):
    """``auto`` never takes it: which endpoint is meant has to be said."""

    name = "remote"
    auto_rank = None
    config = RemoteConfig

    async def probe(self, config: RemoteConfig) -> Probe:
        """Ask the endpoint for its version."""
        try:
            async with await self.open(config) as runtime:
                version = await runtime.version(v1.VersionRequest())
        except CRIError as error:
            return Probe(False, error.message)
        detail = f"{version.runtime_name} {version.runtime_version} at {config.address}"
        return Probe(True, detail, version=version.runtime_version, api=version.runtime_api_version)

    async def open(self, config: RemoteConfig) -> Runtime:
        """A client that has heard from the endpoint. Raises Unavailable when nothing answers."""
        from cri.client import connect

        async with AsyncExitStack() as stack:
            client = connect(config.address, tls=config.tls, insecure=config.insecure, timeout=config.timeout)
            stack.push_async_callback(client.aclose)
            try:
                async with asyncio.timeout(config.connect_timeout):
                    await client.version(v1.VersionRequest())
            except TimeoutError as error:
                raise Unavailable(f"{config.address} does not answer within {config.connect_timeout:g} s") from error
            stack.pop_all()
        return client
