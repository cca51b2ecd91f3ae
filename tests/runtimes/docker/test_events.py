"""Events on a real engine: all of them, once, in order, whatever happens to the engine meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from pathlib import Path

import docker
import pytest

from runtimes.docker.event_source import phase_of
from runtimes.docker.runtime import DockerRuntime
from runtimes.shared import container_events, processes
from runtimes.shared.lifecycle import Phase
from tests.host.dockerd import PrivateDocker
from tests.host.engines import DockerEngine
from tests.runtimes import calls
from tests.runtimes.behaviour.events import *  # noqa: F403
from tests.runtimes.behaviour.events import CREATED, DELETED, STARTED, STOPPED, listening, running
from tests.runtimes.docker.pods import Pod, opened, until
from tests.runtimes.pods import WITHIN

ZERO, SOME = "0001-01-01T00:00:00Z", "2026-11-24T13:18:07.477274494Z"


@pytest.mark.parametrize(
    ("status", "started", "error", "phase"),
    [
        ("created", ZERO, "", Phase.CREATED),
        ("created", ZERO, "no such file", Phase.EXITED),
        ("running", SOME, "", Phase.RUNNING),
        ("paused", SOME, "", Phase.RUNNING),
        ("exited", SOME, "", Phase.EXITED),
        ("removing", SOME, "", Phase.EXITED),
        ("removing", ZERO, "", Phase.CREATED),
    ],
)
def test_how_far_a_container_has_come(status: str, started: str, error: str, phase: Phase) -> None:
    assert phase_of({"State": {"Status": status, "StartedAt": started, "Error": error}}) is phase


async def test_strangers_are_not_heard_of(pod: Pod, runtime: DockerRuntime, engine_client: docker.DockerClient) -> None:
    await running(runtime, pod.sandbox_id)
    async with listening(runtime) as heard:
        copied = engine_client.containers.get(pod.sandbox_id).labels
        stranger = engine_client.containers.create("busybox", labels=copied)
        stranger.remove()
        container_id = await pod.create("true")
        await heard.exactly(container_id, CREATED)
        assert {event.container_id for event in heard.events} == {container_id}


async def test_without_subscribers_the_engine_is_asked_for_nothing(
    pod: Pod, runtime: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    monkeypatch.setattr(container_events.ContainerEvents, "_look", lambda self, life: looks.append(life))
    container_id = await pod.run("true")
    await pod.exited(container_id)
    await pod.remove(container_id)
    await until(lambda: container_id not in runtime._events._lives, "the deletion is known")
    assert looks == []


async def test_an_end_that_is_known_before_the_start_was_answered_waits_for_the_log(
    pod: Pod, runtime: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_start, is_draining = runtime._engine.client.start, runtime._logs.is_draining
    end_is_known, answered = asyncio.Event(), threading.Event()

    def start(container_id: str) -> None:
        engine_start(container_id)
        answered.wait(WITHIN)

    def asked(container_id: str) -> bool:
        end_is_known.set()
        return is_draining(container_id)

    monkeypatch.setattr(runtime._engine.client, "start", start)
    monkeypatch.setattr(runtime._events._source, "is_draining", asked)
    async with listening(runtime) as heard:
        container_id = await pod.create("seq 0 4999")
        starting = asyncio.create_task(pod.start(container_id))
        await asyncio.wait_for(end_is_known.wait(), WITHIN)
        waits = is_draining(container_id)
        answered.set()
        await starting
        assert waits
        await until(lambda: STOPPED in heard.kinds(container_id), "STOPPED")
        assert pod.texts() == [b"%d" % number for number in range(5000)]


async def test_nothing_is_lost_or_doubled_over_restarts_of_the_engine(
    live_restore_docker_engine: PrivateDocker, tmp_path: Path
) -> None:
    engine = live_restore_docker_engine
    async with opened(engine) as runtime, listening(runtime) as heard:
        pod = await Pod.make(runtime, tmp_path)
        lasting = await pod.run("sleep 600", name="lasting")
        ending = await pod.run("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done", name="ending")
        await until(lambda: b"ready" in pod.texts("ending"), "it is ready for its end")
        with calls.held(await calls.process(runtime, ending)) as process:
            await heard.exactly(ending, CREATED, STARTED)
            for _ in range(2):
                await asyncio.to_thread(engine.kill)
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal.SIGTERM)
                await until(lambda: processes.is_over(process), "one of them has ended meanwhile")
                await asyncio.to_thread(engine.start)
        await heard.exactly(ending, CREATED, STARTED, STOPPED)
        status = heard.last(ending).containers_statuses[1]
        # Docker 29 forgets the code of what ended while its containerd was away, too.
        assert (status.exit_code, status.reason) in ((3, "Error"), (255, "Unknown"))
        await pod.remove(ending)
        await heard.exactly(ending, CREATED, STARTED, STOPPED, DELETED)
        await heard.exactly(lasting, CREATED, STARTED)
        await heard.exactly(pod.sandbox_id, CREATED, STARTED)
        await pod.aclose()
        await heard.exactly(lasting, CREATED, STARTED, STOPPED, DELETED)


async def test_what_an_orderly_stop_of_the_engine_ended_is_told(
    private_docker_engine: DockerEngine, tmp_path: Path
) -> None:
    engine = private_docker_engine
    async with opened(engine) as runtime, listening(runtime) as heard:
        pod = await Pod.make(runtime, tmp_path)
        container_id = await pod.run("trap 'exit 0' TERM; while true; do sleep 0.05; done")
        await heard.exactly(container_id, CREATED, STARTED)
        await asyncio.to_thread(engine.restart)
        await heard.exactly(container_id, CREATED, STARTED, STOPPED)
        await heard.exactly(pod.sandbox_id, CREATED, STARTED, STOPPED)
        await pod.aclose()


async def test_who_subscribes_while_the_engine_is_away_hears_what_happens_when_it_is_back(
    private_docker_engine: DockerEngine, tmp_path: Path
) -> None:
    engine = private_docker_engine
    async with opened(engine) as runtime:
        pod = await Pod.make(runtime, tmp_path)
        await asyncio.to_thread(engine.stop)
        async with listening(runtime) as heard:
            await asyncio.to_thread(engine.start)
            other = await Pod.make(runtime, tmp_path / "other")
            await until(lambda: len(heard.kinds(other.sandbox_id)) >= 2, "its events")
            assert heard.kinds(other.sandbox_id) == [CREATED, STARTED]
            await other.aclose()
        await pod.aclose()
