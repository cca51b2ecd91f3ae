"""Straight to a Podman service by the libpod API, asking for the same things as minicri does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from podman.api.client import APIClient

from benchmarks import ways
from benchmarks.ways import Minicri
from cri.annotations import PREFIX
from cri.networks import NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.podman import container_config, endpoint, sandbox_config, transport
from runtimes.podman.config import PodmanConfig
from runtimes.podman.engine import Engine
from runtimes.podman.features import EngineFacts
from runtimes.podman.pause_image import PauseImage

T = TypeVar("T")


class Direct:
    """Create, start, stop and remove, each of them one call of podman-py's client in a bounded pool.

    The bodies are those that minicri sends, so that the engine has as much to do; only the labels are a stranger's, of
    the same length.
    """

    def __init__(self, client: APIClient, like: Minicri, facts: EngineFacts, image_id: str) -> None:
        self._client = client
        self._like = like
        self._facts = facts
        self._image_id = image_id
        self._threads = ThreadPoolExecutor(ways.THREADS, thread_name_prefix="bench-direct")
        self._requests: dict[str, v1.RunPodSandboxRequest] = {}

    @classmethod
    async def begin(cls, like: Minicri) -> Direct:
        """Raises CRIError where no engine answers, or one without the image."""
        engine = Engine(PodmanConfig())
        try:
            facts = await engine.facts()
            await PauseImage(engine).require()
            found = await engine.get(f"/images/{ways.IMAGE}/json")
        finally:
            await engine.aclose()
        client = transport.client(endpoint.find(PodmanConfig()), facts.api_version, ways.THREADS)
        return cls(client, like, facts, found["Id"])

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    async def run_sandbox(self, name: str) -> str:
        request = v1.RunPodSandboxRequest(config=self._like.sandbox_config(name))
        network = NetworkRequest()
        body = sandbox_config.pod(f"bench-{name}", request, network, self._facts, created_ns=time.time_ns())

        def run() -> str:
            made = str(self._send("POST", "/pods/create", body=_strange(body)).json()["Id"])
            self._send("POST", f"/pods/{made}/start")
            return made

        sandbox_id = await self._call(run)
        self._requests[sandbox_id] = request
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        name = self._requests[sandbox_id].config.metadata.name
        await self._stop(sandbox_config.infra_name(f"bench-{name}"))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._call(lambda: self._send("DELETE", f"/pods/{sandbox_id}", force="true", timeout=0))
        del self._requests[sandbox_id]

    async def create(self, sandbox_id: str, name: str) -> str:
        sandbox = self._requests[sandbox_id]
        request = v1.CreateContainerRequest(
            pod_sandbox_id=sandbox_id, config=self._like.container_config(name), sandbox_config=sandbox.config
        )
        body = container_config.container(
            f"bench-{name}",
            self._image_id,
            request,
            sandbox,
            self._facts,
            infra_id=sandbox_config.infra_name(f"bench-{sandbox.config.metadata.name}"),
            user=v1.LinuxContainerUser(),
            created_ns=time.time_ns(),
        )

        def create() -> str:
            Path(sandbox.config.log_directory).mkdir(exist_ok=True)
            return str(self._send("POST", "/containers/create", body=_strange(body)).json()["Id"])

        return await self._call(create)

    async def start(self, container_id: str) -> None:
        await self._call(lambda: self._send("POST", f"/containers/{container_id}/start"))

    async def stop(self, container_id: str) -> None:
        await self._stop(container_id)

    async def remove(self, container_id: str) -> None:
        path = f"/containers/{container_id}"
        await self._call(lambda: self._send("DELETE", path, force="true", volumes="true", timeout=0))

    async def _stop(self, name: str) -> None:
        """By the call that returns when it is dead, as a kill does not."""
        await self._call(lambda: self._send("POST", f"/containers/{name}/stop", timeout=0, ignore="true"))

    def _send(self, method: str, path: str, body: Any = None, **params: str | int) -> Any:
        call: Any = {"GET": self._client.get, "POST": self._client.post, "DELETE": self._client.delete}[method]
        content = {} if body is None else {"data": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        answer = call(path, params=params, **content)
        answer.raise_for_status()
        return answer

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _strange(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"labels": {key.replace(PREFIX, "bench.local/"): value for key, value in body["labels"].items()}}
