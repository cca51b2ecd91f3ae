"""The plug-in: how minicri looks for a CRI endpoint and opens it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from cri.errors import CRIError, Unavailable
from cri.plugins import Backend, Probe
from cri.v1 import api_pb2 as v1
from runtimes.remote.config import RemoteConfig
from runtimes.remote.foreign import announced

if TYPE_CHECKING:
    from runtimes.remote.runtime import RemoteRuntime


class RemoteBackend(Backend[RemoteConfig]):
    """``auto`` never takes it: which endpoint is meant has to be said."""

    name = "remote"
    auto_rank = None
    config = RemoteConfig

    async def probe(self, config: RemoteConfig) -> Probe:
        """Ask the endpoint for its version, what it can do, and whether it is ready."""
        try:
            async with await self.open(config) as runtime, asyncio.timeout(config.connect_timeout):
                version = await runtime.version(v1.VersionRequest())
                status = await runtime.status(v1.StatusRequest())
                is_minicri = await runtime.is_minicri()
        except TimeoutError:
            return Probe(False, f"{config.address} does not answer within {config.connect_timeout:g} s")
        except CRIError as error:
            return Probe(False, error.message)
        return Probe(
            True,
            "; ".join([f"{version.runtime_name} {version.runtime_version} at {config.address}", *not_ready(status)]),
            version=version.runtime_version,
            api=version.runtime_api_version,
            features=announced(status) | {"minicri_annotations": is_minicri},
        )

    async def open(self, config: RemoteConfig) -> RemoteRuntime:
        """A runtime that has heard from the endpoint. Raises Unavailable when nothing answers."""
        from runtimes.remote.runtime import RemoteRuntime

        async with AsyncExitStack() as stack:
            runtime = RemoteRuntime.connect(
                config.address,
                tls=config.tls,
                insecure=config.insecure,
                timeout=config.timeout,
                pull_timeout=config.pull_timeout,
            )
            stack.push_async_callback(runtime.aclose)
            try:
                async with asyncio.timeout(config.connect_timeout):
                    await runtime.version(v1.VersionRequest())
            except TimeoutError as error:
                raise Unavailable(f"{config.address} does not answer within {config.connect_timeout:g} s") from error
            stack.pop_all()
        # Only now: what was never there is not waited for.
        runtime.reconnect_timeout = config.reconnect_timeout
        return runtime


def not_ready(status: v1.StatusResponse) -> list[str]:
    """A line for each condition that does not hold. Pure."""
    return [f"{one.type} is false: {one.message or one.reason}" for one in status.status.conditions if not one.status]
