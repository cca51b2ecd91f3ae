"""How many calls of the engine each RPC costs, as docs/performance.md has it; a new call is to be worth its place."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.docker.engine import Engine
from runtimes.docker.runtime import DockerRuntime
from runtimes.docker.transport import DeadlineClient
from runtimes.shared import seen
from tests.conformance.kit import Kit, eventually
from tests.runtimes.behaviour.events import CREATED, STARTED, listening
from tests.runtimes.pods import until

BUDGET = {
    "RunPodSandbox": ["POST create", "POST start"],
    "CreateContainer": ["POST create"],
    "PodSandboxStatus": ["GET json"],
    "ListPodSandbox": ["GET json"],
    "CreateContainer, the first of a sandbox": ["GET json", "POST create"],
    "StartContainer": ["POST start"],
    "ContainerStatus": ["GET json"],
    "ListContainers": ["GET json"],
    "ListContainerStats, at first": ["GET json", "GET json"],
    "ListContainerStats": ["GET json"],
    "StopContainer, at once": ["GET json", "POST kill"],
    "StopContainer, by its signal": ["GET json", "GET json", "POST kill", "POST wait"],
    "RemoveContainer": ["DELETE", "GET json"],
    "StopPodSandbox": ["GET json", "GET json", "POST kill"],
    "RemovePodSandbox": ["DELETE", "GET json", "GET json"],
}
"""What is asked, in no order. A log, where a container has one, adds GET logs at the start, and GET json and GET logs
at the end."""


OBEDIENT = "trap 'exit 0' TERM; touch /tmp/ready; while true; do sleep 0.05; done"


class Asked:
    """The calls that the engine was asked for since the last ``taken``."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def note(self, method: str, url: str) -> None:
        verb = url.partition("?")[0].rstrip("/").rpartition("/")[2]
        self.calls.append(f"{method} {verb}" if method != "DELETE" else method)

    def taken(self) -> list[str]:
        taken, self.calls = sorted(self.calls), []
        return taken


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setattr(seen, "LASTS", 600.0)  # however busy the host is
    found = Asked()
    send, stream = DeadlineClient.send, Engine.stream

    def noted_send(self: DeadlineClient, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        found.note(request.method or "", request.url or "")
        return send(self, request, **options)

    def noted_stream(self: Engine, method: str, path: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        if path != "/events":
            found.note(method, path)
        return stream(self, method, path, **options)

    monkeypatch.setattr(DeadlineClient, "send", noted_send)
    monkeypatch.setattr(Engine, "stream", noted_stream)
    return found


async def test_each_call_asks_the_engine_for_no_more_than_it_needs(
    runtime: DockerRuntime, asked: Asked, busybox_image: str, tmp_path: Path
) -> None:
    spent: dict[str, list[str]] = {}

    async def spend(name: str, call: Awaitable[Any]) -> Any:
        asked.taken()
        answer = await call
        spent[name] = asked.taken()
        return answer

    async with Kit(runtime, busybox_image, tmp_path) as kit:
        await kit.remove_sandbox(await warmed_up(kit))
        sandbox_id = await spend("RunPodSandbox", kit.sandbox())
        await spend("PodSandboxStatus", kit.sandbox_status(sandbox_id))
        await spend("ListPodSandbox", kit.sandboxes())
        container_id = await spend("CreateContainer, the first of a sandbox", kit.create(sandbox_id, log_path=""))
        await spend("StartContainer", kit.start(container_id))
        other = await spend("CreateContainer", kit.create(sandbox_id, log_path=""))
        await spend("ContainerStatus", kit.status(container_id))
        await spend("ListContainers", kit.containers())
        filtered = v1.ListContainerStatsRequest(filter=v1.ContainerStatsFilter(pod_sandbox_id=sandbox_id))
        await spend("ListContainerStats, at first", runtime.list_container_stats(filtered))
        await spend("ListContainerStats", runtime.list_container_stats(filtered))
        await spend("StopContainer, at once", kit.stop(container_id))
        obedient = await kit.run(sandbox_id, "sh", "-c", OBEDIENT, log_path="")
        await kit.exec(obedient, "sh", "-c", "until [ -e /tmp/ready ]; do sleep 0.05; done")
        await spend("StopContainer, by its signal", kit.stop(obedient, timeout=30))
        await kit.remove(obedient)
        await kit.remove(other)
        await spend("RemoveContainer", kit.remove(container_id))
        await spend("StopPodSandbox", kit.stop_sandbox(sandbox_id))
        await spend("RemovePodSandbox", kit.remove_sandbox(sandbox_id))
    assert spent == {name: sorted(calls) for name, calls in BUDGET.items()}


async def test_a_sandbox_with_a_container_costs_a_look_at_each_to_who_hears_of_them(
    runtime: DockerRuntime, asked: Asked, busybox_image: str, tmp_path: Path
) -> None:
    async with Kit(runtime, busybox_image, tmp_path) as kit:
        await kit.remove_sandbox(await warmed_up(kit))
        async with listening(runtime) as heard:
            asked.taken()
            sandbox_id = await kit.sandbox()
            await heard.exactly(sandbox_id, CREATED, STARTED)
            container_id = await kit.create(sandbox_id)
            await kit.start(container_id)
            await heard.exactly(container_id, CREATED, STARTED)
            await until(lambda: "GET logs" in asked.calls, "its log is followed")
            spent = asked.taken()
    looks = ["GET json"] * 2
    assert spent == sorted([*looks, "GET logs", "POST create", "POST create", "POST start", "POST start"])


async def test_no_container_is_made_in_a_sandbox_that_has_ended_behind_the_runtimes_back(
    runtime: DockerRuntime, busybox_image: str, tmp_path: Path, engine_client: docker.DockerClient
) -> None:
    async with Kit(runtime, busybox_image, tmp_path) as kit:
        sandbox_id = await kit.sandbox()
        await kit.create(sandbox_id)
        engine_client.containers.get(sandbox_id).kill()
        with pytest.raises(FailedPrecondition):
            await kit.create(sandbox_id)


async def test_one_that_was_started_and_has_ended_behind_the_runtimes_back_is_not_started_again(
    runtime: DockerRuntime, busybox_image: str, tmp_path: Path, engine_client: docker.DockerClient
) -> None:
    async with Kit(runtime, busybox_image, tmp_path) as kit:
        container_id = await kit.create(await kit.sandbox(), "true")
        made = engine_client.containers.get(container_id)
        made.start()
        made.wait()

        async def told() -> bool:
            return runtime._fresh.get(container_id) is None

        await eventually(told, "the engine has told of the start")
        with pytest.raises(FailedPrecondition):
            await kit.start(container_id)


async def warmed_up(kit: Kit) -> str:
    """What is asked once for an engine (its facts) or an image (its accounts) is known afterwards."""
    sandbox_id = await kit.sandbox()
    await kit.remove(await kit.create(sandbox_id))
    return sandbox_id
