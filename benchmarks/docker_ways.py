"""Straight to a Docker engine with the SDK, asking for the same things as minicri does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker

from benchmarks.ways import THREADS, Way
from cri.annotations import PREFIX

T = TypeVar("T")


class Direct:
    """Straight to the engine: create, start, kill and remove, each of them one call of the SDK.

    The bodies are those of a sandbox and a container that minicri made (``like``), so that the engine has as much to
    do; only the labels are a stranger's, of the same length.
    """

    def __init__(self, client: docker.APIClient, sandbox: dict[str, Any], container: dict[str, Any]) -> None:
        self._client = client
        self._sandbox = sandbox
        self._container = container
        self._like = str(sandbox["Id"])
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bench-direct")

    @classmethod
    async def like(cls, client: docker.APIClient, way: Way) -> Direct:
        sandbox_id = await way.run_sandbox("like")
        container_id = await way.create(sandbox_id, "like")
        made = [client.inspect_container(each) for each in (sandbox_id, container_id)]
        await way.remove_sandbox(sandbox_id)
        return cls(client, *made)

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    async def run_sandbox(self, name: str) -> str:
        def run() -> str:
            made = _create(self._client, _body(self._sandbox), name)
            self._client.start(made)
            return made

        return await self._call(run)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._call(lambda: self._client.kill(sandbox_id, "SIGKILL"))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._call(lambda: self._client.remove_container(sandbox_id, v=True, force=True))

    async def create(self, sandbox_id: str, name: str) -> str:
        body = json.loads(json.dumps(_body(self._container)).replace(self._like, sandbox_id))
        return await self._call(lambda: _create(self._client, body, name))

    async def start(self, container_id: str) -> None:
        await self._call(lambda: self._client.start(container_id))

    async def stop(self, container_id: str) -> None:
        await self._call(lambda: self._client.kill(container_id, "SIGKILL"))

    async def remove(self, container_id: str) -> None:
        await self._call(lambda: self._client.remove_container(container_id, v=True, force=True))

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _create(client: docker.APIClient, body: dict[str, Any], name: str) -> str:
    made = client.create_container_from_config(body, f"bench-{name}")  # type: ignore[no-untyped-call]
    return str(made["Id"])


def _body(found: dict[str, Any]) -> dict[str, Any]:
    """The body of /containers/create that makes another one like an inspected one."""
    config = {key: value for key, value in found["Config"].items() if key not in ("Hostname", "Domainname")}
    strange = {key.replace(PREFIX, "bench.local/"): value for key, value in config["Labels"].items()}
    return {**config, "Labels": strange, "HostConfig": found["HostConfig"]}
