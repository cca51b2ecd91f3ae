"""``Engine``: every call to Podman goes through here, with a deadline, in a bounded pool of threads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from podman.api.client import APIClient, APIResponse

from cri.errors import Aborted, CRIError, Internal, NotFound, Unavailable
from runtimes.podman import endpoint, features, transport
from runtimes.podman.config import PodmanConfig
from runtimes.podman.engine_errors import for_status, translate
from runtimes.podman.features import EngineFacts
from runtimes.shared.engine_calls import EngineCalls
from runtimes.shared.engine_peer import EnginePeer
from runtimes.shared.engine_process import look
from runtimes.shared.engine_stream import EngineStream, StreamRequest, open_stream

LOOKS = 3
LOOK_PAUSE = 0.02
"""Seconds. An inspection reads files of the container's process, and is a 500 where that ends between two of them."""

POST_TRIES = 12

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")

Params = Mapping[str, str | int | bool]


class Engine:
    """A Podman service at one address. Making it contacts nobody; the first call does.
    Raises InvalidArgument for an address that cannot be used.

    Plain calls are ``await engine.get("/containers/json", params={"all": True})`` and the like: the answer's JSON.
    Answers that last (events, logs, attach, exec, pull, wait) come from ``stream``, which holds no thread and ends the
    engine's work when closed. Paths are below ``/libpod``. All methods raise ``CRIError`` only. An engine that went
    away is Unavailable, and is found again by the next call.
    """

    def __init__(self, config: PodmanConfig) -> None:
        self.config = config
        self._endpoint = endpoint.find(config)
        self.address = self._endpoint.address
        self._peer = EnginePeer(
            product="Podman",
            hint="is podman.socket enabled, or does `podman system service` run?",
            address=self.address,
            host_and_port=self._endpoint.host_and_port,
            tls=None,
            for_status=for_status,
        )
        self._client = self._client_for(features.SPOKEN)
        self._calls = EngineCalls(self._peer, config.max_threads, self._translate, name="podman-call")
        self._facts: EngineFacts | None = None
        self._asking = asyncio.Lock()

    @property
    def is_local(self) -> bool:
        """Whether its processes and files are this host's, as far as they can be seen from here."""
        return self._endpoint.is_local

    async def aclose(self) -> None:
        """Close idle connections and let the threads end. Calls under way end on their own, unheard."""
        self._calls.close()
        self._client.close()

    async def facts(self, *, anew: bool = False) -> EngineFacts:
        """Version, abilities and settings of the engine; asked once, and again after it was away, or ``anew``."""
        if anew:
            self._facts = None
        if self._facts is not None:
            return self._facts
        async with self._asking:
            if self._facts is None:
                version = await self.get("/version")
                spoken = features.negotiate(version)
                if spoken != self._client.version:
                    before, self._client = self._client, self._client_for(features.version_tuple(spoken))
                    before.close()
                info = await self.get("/info")
                rootless = features.is_rootless(info)
                process = await asyncio.to_thread(look, self._peer.local_socket, rootless=rootless)
                self._facts = features.facts_from(version, info, process)
            return self._facts

    async def get(self, path: str, *, params: Params | None = None, seconds: float | None = None) -> Any:
        """The answer to GET ``path``, read as JSON. ``seconds`` takes the place of ``config.call_timeout``."""
        return await self._request("GET", path, params=params, seconds=seconds)

    async def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """The thing of ``kind`` (``containers``, ``pods``) that has this name, id or prefix of an id; None for none."""
        if not _NAME.fullmatch(name):
            return None  # nothing has such a name, and it could not be part of a path
        left = LOOKS
        while True:
            try:
                found: dict[str, Any] = await self.get(f"/{kind}/{name}/json")
            except NotFound:
                return None
            except Internal:
                left -= 1
                if not left:
                    raise
                await asyncio.sleep(LOOK_PAUSE)
            else:
                return found

    async def get_bytes(
        self, path: str, *, params: Params | None = None, limit: int | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of the answer to GET ``path``; at most ``limit`` bytes of it where one is given."""
        return await self._calls.run(self.config.call_timeout, lambda left: self._read(path, params, limit, left))

    async def post(
        self,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Any:
        """The answer to POST ``path`` with ``body`` as JSON, or with ``data`` as it is; None for an empty answer."""
        content = data if body is None else json.dumps(body).encode()
        fields = {"Content-Type": "application/json"} if body is not None else {}
        fields.update(headers or {})
        return await self._request("POST", path, params=params, data=content, headers=fields, seconds=seconds)

    async def post_again(self, path: str, *, body: Any = None) -> Any:
        """As ``post``, for what has Podman look at all interfaces of the host: it stumbles over one of somebody else's
        that goes meanwhile. Asked again it gets by."""
        for _ in range(POST_TRIES - 1):
            with contextlib.suppress(Aborted):
                return await self.post(path, body=body)
        return await self.post(path, body=body)

    async def delete(self, path: str, *, params: Params | None = None) -> Any:
        """The answer to DELETE ``path``, read as JSON; None for an empty answer."""
        return await self._request("DELETE", path, params=params)

    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        upgrade: bool = False,
        patience: float | None = None,
    ) -> AbstractAsyncContextManager[EngineStream]:
        """An answer that lasts, over a connection of its own: ``async with engine.stream("GET", "/events") as answer``.

        With ``upgrade`` the connection carries raw bytes both ways afterwards (attach, exec). Leaving the block closes
        the connection, whatever the reason. The engine's status line has to come within ``patience`` seconds, by
        default ``config.call_timeout``; what follows is not bound.
        """
        versioned = f"/v{self._client.version}/libpod{path}"
        request = StreamRequest(method, versioned, _texts(params), body, headers or {}, upgrade)
        seconds = self.config.call_timeout if patience is None else patience
        return open_stream(self._peer, request, seconds)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Any:
        def send(left: float) -> Any:
            client = self._client
            call: Any = {"GET": client.get, "POST": client.post, "DELETE": client.delete}[method]
            sent = {} if data is None else {"data": data}
            response = call(path, params=_texts(params), headers=headers, timeout=left, **sent)
            response.raise_for_status()
            return _content(response)

        return await self._calls.run(self.config.call_timeout if seconds is None else seconds, send)

    def _read(
        self, path: str, params: Params | None, limit: int | None, left: float
    ) -> tuple[bytes, Mapping[str, str]]:
        response = self._client.get(path, params=_texts(params), timeout=left, stream=True)
        with contextlib.closing(response):
            response.raise_for_status()
            content: bytes = response.raw.read(limit, decode_content=True)
            return content, response.headers

    def _client_for(self, version: tuple[int, ...]) -> APIClient:
        return transport.client(self._endpoint, ".".join(map(str, version)), self.config.max_threads)

    def _translate(self, error: Exception, seconds: float) -> CRIError:
        translated = translate(error, self._peer, seconds)
        if isinstance(translated, Unavailable):
            # After an absence the engine may come back as another version with other abilities.
            self._facts = None
        return translated


def _content(response: APIResponse) -> Any:
    """What an answer holds: JSON as the thing that it is, else text; None for nothing."""
    if not response.content.strip():
        return None
    return response.json() if "json" in response.headers.get("Content-Type", "") else response.text


def _texts(params: Params | None) -> dict[str, str]:
    """Query parameters in the form that Go reads: ``true`` and ``false``."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (params or {}).items()}
