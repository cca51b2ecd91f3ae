"""Events on Podman: what holds for every engine, and over kills of its service."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import pytest

from cri.errors import Unavailable
from cri.v1 import api_pb2 as v1
from runtimes.podman.event_source import EventSource
from runtimes.shared import processes
from runtimes.shared.life import Life
from runtimes.shared.records import Records
from tests.host import podmans
from tests.host.images import BUSYBOX
from tests.host.podmans import PodmanEngine
from tests.runtimes import calls
from tests.runtimes.behaviour.events import *  # noqa: F403
from tests.runtimes.behaviour.events import CREATED, DELETED, STARTED, STOPPED, listening, running
from tests.runtimes.podman.conftest import opened
from tests.runtimes.pods import Pod, until


async def test_nothing_is_lost_or_doubled_over_kills_of_the_service(
    private_podman_engine: PodmanEngine, tmp_path: Path
) -> None:
    engine = private_podman_engine
    async with opened(engine) as runtime, listening(runtime) as heard:
        pod = await Pod.make(runtime, tmp_path)
        lasting = await pod.run("sleep 600", name="lasting")
        ending = await pod.run("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done", name="ending")
        await until(lambda: b"ready" in pod.texts("ending"), "it is ready for its end")
        with calls.held(await calls.process(runtime, ending)) as process:
            await heard.exactly(ending, CREATED, STARTED)
            for _ in range(2):
                await asyncio.to_thread(engine.kill)
                with pytest.raises(Unavailable):
                    await pod.status(lasting)
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal.SIGTERM)
                await until(lambda: processes.is_over(process), "one of them has ended meanwhile")
                await asyncio.to_thread(engine.start)
        await heard.exactly(ending, CREATED, STARTED, STOPPED)
        assert heard.last(ending).containers_statuses[1].exit_code == 3
        await pod.remove(ending)
        await heard.exactly(ending, CREATED, STARTED, STOPPED, DELETED)
        await heard.exactly(lasting, CREATED, STARTED)
        await heard.exactly(pod.sandbox_id, CREATED, STARTED)
        await pod.aclose()


async def test_a_command_is_unavailable_and_dead_when_the_service_is_killed_under_it(
    private_podman_engine: PodmanEngine, tmp_path: Path
) -> None:
    engine = private_podman_engine
    async with opened(engine) as runtime:
        pod = await Pod.make(runtime, tmp_path)
        container_id = await pod.run("sleep 600")
        request = v1.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", "touch /begun; sleep 1041; true"])
        command = asyncio.ensure_future(runtime.exec_sync(request))
        await until(lambda: "sleep 1041" in calls.commands(container_id), "the command runs")
        await asyncio.to_thread(engine.kill)
        with pytest.raises(Unavailable):
            await command
        await until(lambda: "sleep 1041" not in calls.commands(container_id), "the command is dead")
        await asyncio.to_thread(engine.start)
        assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING
        await pod.aclose()


async def test_strangers_are_not_heard_of(pod: Pod, podman_engine: PodmanEngine) -> None:
    await running(pod.runtime, pod.sandbox_id)
    address = podman_engine.address
    async with listening(pod.runtime) as heard:
        made = podmans.call(address, "POST", "/containers/create", body={"image": BUSYBOX, "labels": {"a": "b"}})
        podmans.call(address, "DELETE", f"/containers/{made['Id']}")
        container_id = await pod.create("true")
        await heard.exactly(container_id, CREATED)
        assert {event.container_id for event in heard.events} == {container_id}


async def test_a_look_at_a_sandbox_that_is_being_removed_says_nothing_of_its_past() -> None:
    life = Life("p", "p", v1.PodSandboxStatus(id="p"), created_ns=1)
    source = EventSource(None, Records(), None, HalfRemoved())  # type: ignore[arg-type]
    look = await source.look(life)
    assert look is not None
    assert look.phase is life.phase


class HalfRemoved:
    """Sandboxes whose infra container is gone, and the pod not yet."""

    async def status(self, sandbox_id: str) -> tuple[v1.PodSandboxStatus, dict[str, Any]]:
        status = v1.PodSandboxStatus(id=sandbox_id, state=v1.SANDBOX_NOTREADY)
        return status, {"Pod": {"Id": sandbox_id}, "Infra": None}
