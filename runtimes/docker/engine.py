"""``Engine``: every call to Docker goes through here, with a deadline, in a bounded pool of threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import ParamSpec, TypeVar

import docker.errors
import requests

from cri.errors import CRIError, Unavailable
from runtimes.docker import endpoint, features
from runtimes.docker.config import DockerConfig
from runtimes.docker.engine_errors import for_timeout, translate
from runtimes.docker.engine_process import look
from runtimes.docker.engine_stream import EngineStream, StreamRequest, open_stream
from runtimes.docker.features import EngineFacts
from runtimes.docker.transport import DeadlineClient

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
        self._tls = self._endpoint.tls_context()
        self.client = DeadlineClient(config, self._endpoint, "{}.{}".format(*features.OLDEST_API))
        self._threads = ThreadPoolExecutor(config.max_threads, thread_name_prefix="docker-call")
        self._facts: EngineFacts | None = None
        self._asking = asyncio.Lock()
        self._closed = False

    async def aclose(self) -> None:
        """Close idle connections and let the threads end. Calls under way end on their own, unheard."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
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
                process = await asyncio.to_thread(look, self._endpoint, rootless=features.is_rootless(info))
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
        return open_stream(self._endpoint, self._tls, request, seconds)

    async def _in_thread(self, seconds: float, method: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._closed:
            raise Unavailable("this runtime was closed")
        deadline = time.monotonic() + seconds

        def run() -> R:
            try:
                return _run_once(method, deadline, *args, **kwargs)
            except requests.exceptions.ConnectionError as error:
                if not _is_stale(error):
                    raise
                return _run_once(method, deadline, *args, **kwargs)

        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except TimeoutError as error:
            raise for_timeout(self.address, seconds) from error
        except (requests.exceptions.RequestException, docker.errors.DockerException, OSError) as error:
            translated = translate(error, self.address, seconds)
            self._notice(translated)
            raise translated from error

    def _notice(self, error: CRIError) -> None:
        """After an absence the engine may come back as another version with other abilities."""
        if isinstance(error, Unavailable):
            self._facts = None


def _run_once(method: Callable[P, R], deadline: float, *args: P.args, **kwargs: P.kwargs) -> R:
    client = getattr(method, "__self__", None)
    if isinstance(client, DeadlineClient):
        client.timeout = max(0.001, deadline - time.monotonic())
    return method(*args, **kwargs)


def _is_stale(error: requests.exceptions.ConnectionError) -> bool:
    """Whether a pooled connection turned out dead: the engine closed it before it read a request that is safe to
    send again. A refused connection is not stale, it is an engine that is away."""
    request = error.request
    closed = any(
        isinstance(inner, ConnectionResetError | BrokenPipeError | ConnectionAbortedError)
        for arg in error.args
        for inner in (arg, *getattr(arg, "args", ()))
    )
    return closed and request is not None and request.method in ("GET", "HEAD")


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream of JSON lines (events, pull progress) into lines, without their ends."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line.strip()
    if rest.strip():
        yield rest.strip()
