"""How a container is asked how it is, what its answers are taken for, and what follows from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cri.errors import Unavailable
from manifests.probes import Probe, Tally, judge
from manifests.spec import TaskSpec
from orchestrator.control import Orchestrator
from orchestrator.task import State
from tests.orchestrator.driving import eventually, reach, reach_attempt, spec, until
from tests.orchestrator.engine import Engine

QUICK = {"period": 0.01, "failures": 2}


def probed(**probes: dict[str, Any]) -> TaskSpec:
    return spec(probes={name: {**QUICK, **probe} for name, probe in probes.items()}, restart={"policy": "never"})


def verdicts(answers: str, *, at_first: bool | None, **said: Any) -> Sequence[bool | None]:
    """What is thought after each answer, + for a good one and - for a bad one."""
    probe = Probe.model_validate({"exec": ["true"], **said})
    tally, found = Tally(at_first), []
    for answer in answers:
        tally = judge(probe, tally, answer == "+")
        found.append(tally.passing)
    return found


def test_a_verdict_falls_after_so_many_failures_in_a_row() -> None:
    assert verdicts("--+---", at_first=True, failures=3) == [True, True, True, True, True, False]


def test_a_verdict_rises_after_so_many_successes_in_a_row() -> None:
    assert verdicts("+-++", at_first=False, successes=2) == [False, False, False, True]


def test_a_first_success_is_a_start() -> None:
    assert verdicts("-+", at_first=None) == [None, True]


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        ({"liveness": {"exec": ["true"], "tcp": {"port": 80}}}, "give one of http, tcp, grpc and exec"),
        ({"liveness": {}}, "give one of http, tcp, grpc and exec"),
        ({"liveness": {"exec": ["true"], "successes": 2}}, "only be more than 1 for readiness"),
        ({"readiness": {"exec": ["true"], "period": 0}}, "greater than 0"),
        ({"readiness": {"http": {"port": 80, "headers": {"A": "b\r\nC: d"}}}}, "one line"),
    ],
)
def test_a_probe_that_makes_no_sense_is_refused(probes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        spec(probes=probes)


def test_init_containers_are_not_probed() -> None:
    with pytest.raises(ValueError, match="init container one runs to its end"):
        spec(init=[{"name": "one", "image": "i", "probes": {"liveness": {"exec": ["true"]}}}])


def test_without_a_network_only_commands_can_ask() -> None:
    with pytest.raises(ValueError, match="only exec probes"):
        spec(network="none", probes={"readiness": {"tcp": {"port": 80}}})


async def test_a_task_without_probes_is_ready_when_it_runs(orchestrator: Orchestrator) -> None:
    await orchestrator.submit([spec()], actor="test")
    assert (await reach(orchestrator, "web", State.RUNNING)).ready


async def test_a_task_is_ready_when_its_readiness_says_so_and_no_longer_when_not(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    code = 1
    engine.answer = lambda name, command: code
    await orchestrator.submit([probed(readiness={"exec": ["is", "ready"]})], actor="test")
    task = await reach(orchestrator, "web", State.RUNNING)
    assert (task.ready, task.reason) == (False, "NotReady")
    code = 0
    await until(orchestrator, lambda task: task.ready)
    code = 3
    task = await until(orchestrator, lambda task: not task.ready)
    assert task.message == "readiness probe failed: exited with code 3: as scripted"
    assert task.state is State.RUNNING
    assert "but is not ready: readiness probe failed" in (await orchestrator.describe("web")).why


async def test_an_exec_probe_is_given_its_timeout_in_whole_seconds(orchestrator: Orchestrator, engine: Engine) -> None:
    await orchestrator.submit([probed(readiness={"exec": ["is", "ready"], "timeout": 1.5})], actor="test")
    await until(orchestrator, lambda task: task.ready)
    assert engine.commands[0] == ("web", ("is", "ready"), 2)


async def test_a_failed_liveness_ends_the_attempt_and_the_restart_policy_follows(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    engine.answer = lambda name, command: int(sum(engine.starts.values()) == 1)
    probes = {"liveness": {**QUICK, "exec": ["alive"]}}
    await orchestrator.submit([spec(probes=probes, restart={"policy": "on-failure", "backoff": 0})], actor="test")
    first = await reach(orchestrator, "web", State.RUNNING)
    await reach_attempt(orchestrator, 1)
    assert engine.stops == [(first.container_id, 10)]
    assert "Unhealthy" in [event.reason for event in await orchestrator.history(task_id="web")]


async def test_a_failed_liveness_without_a_restart_policy_fails_the_task(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    engine.answer = lambda name, command: 1
    await orchestrator.submit([probed(liveness={"exec": ["alive"]})], actor="test")
    task = await reach(orchestrator, "web", State.FAILED)
    assert (task.reason, task.message) == ("Unhealthy", "liveness probe failed: exited with code 1: as scripted")


async def test_nothing_else_is_asked_before_the_startup_probe_succeeds(
    orchestrator: Orchestrator, engine: Engine
) -> None:
    engine.answer = lambda name, command: int(len(engine.commands) < 3)
    startup, readiness = {"exec": ["started"], "failures": 100}, {"exec": ["ready"]}
    await orchestrator.submit([probed(startup=startup, readiness=readiness)], actor="test")
    await until(orchestrator, lambda task: task.ready)
    assert [command for _, (command,), _ in engine.commands[:4]] == ["started", "started", "started", "ready"]


async def test_a_failed_startup_ends_the_attempt(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.answer = lambda name, command: 1
    await orchestrator.submit([probed(startup={"exec": ["started"]})], actor="test")
    assert (await reach(orchestrator, "web", State.FAILED)).message.startswith("startup probe failed")


async def test_a_runtime_that_is_away_is_no_answer(orchestrator: Orchestrator, engine: Engine) -> None:
    engine.fail_next("exec_sync", *[Unavailable("engine is away")] * 5)
    await orchestrator.submit([probed(liveness={"exec": ["alive"]})], actor="test")
    await eventually(lambda: len(engine.commands) > 1)
    assert (await orchestrator.get("web")).state is State.RUNNING


async def test_one_container_that_is_not_ready_makes_the_task_so(orchestrator: Orchestrator, engine: Engine) -> None:
    ready = {"web"}
    engine.answer = lambda name, command: int(name not in ready)
    readiness = {"readiness": {**QUICK, "exec": ["ready"]}}
    side = {"name": "side", "image": "busybox", "probes": readiness}
    await orchestrator.submit([spec(probes=readiness, containers=[side])], actor="test")
    await eventually(lambda: len(engine.commands) > 4)
    assert not (await orchestrator.get("web")).ready
    ready.add("side")
    await until(orchestrator, lambda task: task.ready)


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that says ``reply`` to whoever connects, and what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply:
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def test_http_is_good_from_200_to_399(orchestrator: Orchestrator) -> None:
    async with answering(b"HTTP/1.1 302 Found\r\n\r\n") as (port, asked):
        http = {"port": port, "path": "/health", "headers": {"X-Probe": "1"}}
        await orchestrator.submit([probed(readiness={"http": http})], actor="test")
        await until(orchestrator, lambda task: task.ready)
    assert asked[0].startswith("GET /health HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n" in asked[0]
    assert "X-Probe: 1\r\n" in asked[0]


async def test_http_with_another_status_is_bad(orchestrator: Orchestrator) -> None:
    async with answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as (port, _):
        await orchestrator.submit([probed(liveness={"http": {"port": port}})], actor="test")
        task = await reach(orchestrator, "web", State.FAILED)
    assert task.message == "liveness probe failed: GET / was answered with status 503 Service Unavailable"


async def test_tcp_is_good_when_a_connection_is_taken_and_bad_when_not(orchestrator: Orchestrator) -> None:
    async with answering(b"") as (port, _):
        await orchestrator.submit([probed(readiness={"tcp": {"port": port}})], actor="test")
        await until(orchestrator, lambda task: task.ready)
    await until(orchestrator, lambda task: not task.ready)


async def test_a_server_that_never_answers_is_bad(orchestrator: Orchestrator) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        http = {"http": {"port": server.sockets[0].getsockname()[1]}, "timeout": 0.05}
        await orchestrator.submit([probed(liveness=http)], actor="test")
        task = await reach(orchestrator, "web", State.FAILED)
    assert task.message == "liveness probe failed: no answer within 0.05 s"


async def test_grpc_is_good_when_the_service_says_serving(orchestrator: Orchestrator) -> None:
    server = aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await servicer.set("shop", health_pb2.HealthCheckResponse.NOT_SERVING)
        await orchestrator.submit([probed(readiness={"grpc": {"port": port, "service": "shop"}})], actor="test")
        assert not (await reach(orchestrator, "web", State.RUNNING)).ready
        await servicer.set("shop", health_pb2.HealthCheckResponse.SERVING)
        await until(orchestrator, lambda task: task.ready)
    finally:
        await server.stop(0)
