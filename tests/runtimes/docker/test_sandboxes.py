"""Sandboxes on a real engine: what the conformance suite does not see."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any

import docker
import docker.errors
import pytest

from cri.errors import AlreadyExists, CRIError, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.docker.config import DockerConfig
from runtimes.docker.engine import Engine
from runtimes.docker.event_source import EngineEvents
from runtimes.docker.logs import Logs
from runtimes.docker.removal import Removal
from runtimes.docker.runtime import DockerRuntime
from runtimes.shared import labels, pause
from runtimes.shared.event_watch import EventWatch
from runtimes.shared.names import sandbox_name
from runtimes.shared.records import Records
from tests.host.engines import DockerEngine
from tests.host.images import BUSYBOX
from tests.runtimes.docker import calls
from tests.runtimes.docker.conftest import RunSandbox
from tests.runtimes.docker.examples import linux, sandbox


def run_request(name: str = "web", **fields: Any) -> v1.RunPodSandboxRequest:
    return v1.RunPodSandboxRequest(config=sandbox(name, **fields))


def names(client: docker.DockerClient) -> set[str]:
    return {str(container.name) for container in client.containers.list(all=True)}


async def test_a_sandbox_is_known_to_a_runtime_that_did_not_make_it(
    runtime: DockerRuntime, run_sandbox: RunSandbox, docker_engine: DockerEngine
) -> None:
    sandbox_id = await run_sandbox(labels={"a": "b"}, annotations={"c": "d"}, hostname="web")
    known = await calls.status(runtime, sandbox_id)
    async with await DockerRuntime.open(DockerConfig(host=docker_engine.address)) as other:
        assert await calls.status(other, sandbox_id) == known
        assert sandbox_id in await calls.listed(other)
    assert ip_address(known.network.ip).version == 4


async def test_list_and_status_agree_on_the_time_of_creation(runtime: DockerRuntime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    listed = (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items
    created = {item.id: item.created_at for item in listed}
    assert created[sandbox_id] == (await calls.status(runtime, sandbox_id)).created_at
    assert created[sandbox_id] % 1_000_000_000


async def test_a_stopped_sandbox_has_no_address(runtime: DockerRuntime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    await calls.stop(runtime, sandbox_id)
    status = await calls.status(runtime, sandbox_id)
    assert status.state == v1.SANDBOX_NOTREADY
    assert not status.network.ip


async def test_a_sandbox_on_the_hosts_network_has_no_address_of_its_own(
    runtime: DockerRuntime, run_sandbox: RunSandbox
) -> None:
    sandbox_id = await run_sandbox(linux=linux(namespace_options=v1.NamespaceOption(network=v1.NODE)))
    status = await calls.status(runtime, sandbox_id)
    assert not status.network.ip
    assert status.linux.namespaces.options.network == v1.NODE


async def test_a_sandbox_whose_process_died_is_not_ready_and_stays_on_record(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox()
    engine_client.api.kill(sandbox_id, "SIGTERM")
    engine_client.api.wait(sandbox_id)
    assert (await calls.status(runtime, sandbox_id)).state == v1.SANDBOX_NOTREADY
    assert engine_client.api.inspect_container(sandbox_id)["State"]["ExitCode"] == 0


async def test_stopping_a_sandbox_kills_what_runs_in_it_and_twice_is_fine(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox()
    members = [await calls.start(runtime, sandbox_id, "sleep", "600", name=name) for name in ("a", "b")]
    engine_client.containers.get(members[1]).pause()
    await calls.stop(runtime, sandbox_id)
    await calls.stop(runtime, sandbox_id)
    assert [engine_client.containers.get(each).status for each in members] == ["exited", "exited"]


async def test_removing_a_sandbox_removes_what_is_in_it(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox()
    running = await calls.start(runtime, sandbox_id, "sleep", "600", name="running")
    created = await calls.create(runtime, sandbox_id, "true", name="created")
    await calls.remove(runtime, sandbox_id)
    for gone in (sandbox_id, running, created):
        with pytest.raises(docker.errors.NotFound):
            engine_client.containers.get(gone)


async def test_removals_at_once_all_succeed(runtime: DockerRuntime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    await calls.start(runtime, sandbox_id, "sleep", "600")
    await asyncio.gather(*(calls.remove(runtime, sandbox_id) for _ in range(4)))
    assert sandbox_id not in await calls.listed(runtime)


@pytest.mark.parametrize("unknown", ["0" * 64, "no-such-name", "../version"])
async def test_an_unknown_sandbox_can_be_stopped_and_removed_but_not_looked_at(
    runtime: DockerRuntime, unknown: str
) -> None:
    await calls.stop(runtime, unknown)
    await calls.remove(runtime, unknown)
    with pytest.raises(NotFound):
        await calls.status(runtime, unknown)


async def test_a_container_or_a_stranger_is_no_sandbox(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox()
    member = await calls.start(runtime, sandbox_id, "sleep", "600")
    copied = engine_client.containers.get(sandbox_id).labels
    stranger = engine_client.containers.create(BUSYBOX, labels=copied)
    try:
        for other in (member, str(stranger.id)):
            await calls.stop(runtime, other)
            await calls.remove(runtime, other)
        assert engine_client.containers.get(member).status == "running"
        assert engine_client.containers.get(str(stranger.id))
        assert stranger.id not in await calls.listed(runtime)
    finally:
        stranger.remove()


async def test_a_damaged_record_is_left_alone(runtime: DockerRuntime, engine_client: docker.DockerClient) -> None:
    damaged = {labels.KIND: labels.SANDBOX, labels.SPEC: "{"}
    container = engine_client.containers.create(BUSYBOX, name="minicri_sandbox_damaged", labels=damaged)
    try:
        assert container.id not in await calls.listed(runtime)
    finally:
        container.remove()


async def test_the_same_metadata_again_is_refused_with_the_id_that_has_it(
    runtime: DockerRuntime, run_sandbox: RunSandbox
) -> None:
    sandbox_id = await run_sandbox()
    with pytest.raises(AlreadyExists, match=sandbox_id) as raised:
        await run_sandbox()
    assert raised.value.details == {"pod_sandbox_id": sandbox_id}


async def test_the_same_request_at_once_makes_one_sandbox(runtime: DockerRuntime, run_sandbox: RunSandbox) -> None:
    ids = await asyncio.gather(*(run_sandbox() for _ in range(3)))
    assert len(set(ids)) == 1


async def test_what_a_crash_left_half_made_makes_way(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    request = run_request()
    engine_client.containers.create(
        BUSYBOX, name=sandbox_name(request.config.metadata), labels=labels.sandbox_labels(request, 1)
    )
    sandbox_id = await run_sandbox()
    assert (await calls.status(runtime, sandbox_id)).state == v1.SANDBOX_READY
    assert await calls.listed(runtime) == [sandbox_id]


@pytest.mark.parametrize("milliseconds", [0, 1, 3, 6, 12, 25, 50, 100])
async def test_a_run_that_is_cancelled_leaves_nothing_and_no_name_taken(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient, milliseconds: int
) -> None:
    before = names(engine_client)
    running = asyncio.ensure_future(run_sandbox(annotations={"minicri.io/network": "cancelled"}))
    await asyncio.wait({running}, timeout=milliseconds / 1000)
    if running.cancel():
        with pytest.raises(asyncio.CancelledError):
            await running
        assert names(engine_client) == before
        assert "cancelled" not in {network.name for network in engine_client.networks.list()}
    else:
        await calls.remove(runtime, running.result())
    assert await run_sandbox()


@pytest.mark.parametrize(
    "fields",
    [
        {"linux": v1.LinuxPodSandboxConfig(sysctls={"net.no_such_thing": "1"})},
        {"port_mappings": [v1.PortMapping(container_port=1, host_port=1, host_ip="192.0.2.1")]},
        {"annotations": {"minicri.io/network": "doomed"}, "linux": v1.LinuxPodSandboxConfig(sysctls={"net.b": "1"})},
    ],
    ids=["sysctl", "address", "network"],
)
async def test_a_start_that_fails_leaves_nothing(
    runtime: DockerRuntime, engine_client: docker.DockerClient, fields: dict[str, Any]
) -> None:
    before = names(engine_client), {network.name for network in engine_client.networks.list()}
    with pytest.raises(CRIError):
        await runtime.run_pod_sandbox(run_request(**fields))
    assert (names(engine_client), {network.name for network in engine_client.networks.list()}) == before


async def test_the_pause_image_is_loaded_again_when_somebody_removed_it(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    await calls.remove(runtime, await run_sandbox())
    engine_client.images.remove(pause.NAME, force=True)
    first, second = await asyncio.gather(run_sandbox("one"), run_sandbox("two"))
    assert first != second


async def test_killing_what_has_just_ended_is_fine(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient, docker_engine: DockerEngine
) -> None:
    sandbox_id = await run_sandbox()
    ended = await calls.start(runtime, sandbox_id, "true")
    engine_client.api.wait(ended)
    engine = Engine(DockerConfig(host=docker_engine.address))
    try:
        await Removal(engine, Logs(engine, Records(), EventWatch(EngineEvents(engine)))).kill(ended)
    finally:
        await engine.aclose()
