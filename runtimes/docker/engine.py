"""``Engine``: every call to Docker goes through here, with a deadline, in a bounded pool of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import ParamSpec, TypeVar

from cri.errors import CRIError, Unavailable
from runtimes.docker import endpoint, features
from runtimes.docker.config import DockerConfig
from runtimes.docker.engine_errors import for_status, translate
from runtimes.docker.features import EngineFacts
from runtimes.docker.transport import DeadlineClient
from runtimes.shared.engine_calls import EngineCalls
from runtimes.shared.engine_peer import EnginePeer
from runtimes.shared.engine_process import look
from runtimes.shared.engine_stream import EngineStream, StreamRequest, open_stream

P = ParamSpec("P")
R = TypeVar("R")


class Engine:
    """A Docker engine at one address. Making it contacts nobody; the first call does.
    Raises InvalidArgument for an address or certificates that cannot be used.

    Plain calls are the SDK's (``await engine.call(engine.client.inspect_container, id)``). Answers that last (events,
    logs, attach, exec, pull) come from ``stream``, which holds no thread and ends the engine's work when closed.
    All methods raise ``CRIError`` only. An engine that went away is Unavailable, and is found again by the next call.
    """

    def __init__(self, config: DockerConfig) -> None:
        self.config = config
        self._endpoint = endpoint.find(config)
        self.address = self._endpoint.address
        self._peer = EnginePeer(
            product="Docker Engine",
            hint="is dockerd running?",
            address=self.address,
            host_and_port=None if self._endpoint.is_local else self._endpoint.host_and_port,
            tls=self._endpoint.tls_context(),
            for_status=for_status,
        )
        self.client = DeadlineClient(config, self._endpoint, "{}.{}".format(*features.OLDEST_API))
        self._calls = EngineCalls(self._peer, config.max_threads, self._translate, name="docker-call")
        self._facts: EngineFacts | None = None
        self._asking = asyncio.Lock()

    @property
    def is_local(self) -> bool:
        """Whether its processes and files are this host's, as far as they can be seen from here."""
        return self._endpoint.is_local

    async def aclose(self) -> None:
        """Close idle connections and let the threads end. Calls under way end on their own, unheard."""
        self._calls.close()
        self.client.close()

    async def facts(self) -> EngineFacts:
        """Version, abilities and settings of the engine; asked once, and again after it was away."""
        if self._facts is not None:
            return self._facts
        async with self._asking:
            if self._facts is None:
                version = await self._in_thread(self.config.call_timeout, self.client.version, api_version=False)
                spoken = features.negotiate(version)
                if spoken != self.client.api_version:
                    before, self.client = self.client, DeadlineClient(self.config, self._endpoint, spoken)
                    before.close()
                info = await self._in_thread(self.config.call_timeout, self.client.info)
                process = await asyncio.to_thread(look, self._peer.local_socket, rootless=features.is_rootless(info))
                self._facts = features.facts_from(version, info, process)
            return self._facts

    async def call(self, method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a method of ``client``; at most ``config.call_timeout`` seconds, waiting for a thread included."""
        return await self._in_thread(self.config.call_timeout, method, *args, **kwargs)

    async def call_within(self, seconds: float, method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """``call`` with a time of its own, in seconds."""
        return await self._in_thread(seconds, method, *args, **kwargs)

    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        upgrade: bool = False,
        patience: float | None = None,
    ) -> AbstractAsyncContextManager[EngineStream]:
        """An answer that lasts, over a connection of its own: ``async with engine.stream("GET", "/events") as answer``.

        ``path`` is without the API version. With ``upgrade`` the connection carries raw bytes both ways afterwards
        (attach, exec). Leaving the block closes the connection, whatever the reason. The engine's status line has to
        come within ``patience`` seconds, by default ``config.call_timeout``; what follows is not bound.
        """
        versioned = f"/v{self.client.api_version}{path}"
        request = StreamRequest(method, versioned, params or {}, body, headers or {}, upgrade)
        seconds = self.config.call_timeout if patience is None else patience
        return open_stream(self._peer, request, seconds)

    async def _in_thread(self, seconds: float, method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        client = getattr(method, "__self__", None)

        def run(left: float) -> R:
            if isinstance(client, DeadlineClient):
                client.timeout = left
            return method(*args, **kwargs)

        return await self._calls.run(seconds, run)

    def _translate(self, error: Exception, seconds: float) -> CRIError:
        translated = translate(error, self._peer, seconds)
        if isinstance(translated, Unavailable):
            # After an absence the engine may come back as another version with other abilities.
            self._facts = None
        return translated
