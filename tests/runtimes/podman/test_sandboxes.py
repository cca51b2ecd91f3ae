"""Sandboxes on a real engine: what stands in its way, what dies, what Podman's own pods are."""

from __future__ import annotations

import asyncio

import pytest

from cri.errors import AlreadyExists, NotFound, Unavailable
from cri.v1 import api_pb2 as v1
from runtimes.podman import backend
from runtimes.podman.config import PodmanConfig
from runtimes.podman.runtime import PodmanRuntime
from runtimes.podman.sandbox_config import infra_name
from runtimes.shared import pause
from runtimes.shared.names import sandbox_name
from tests.host.podmans import PodmanEngine, call
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.podman.examples import linux, own_users, sandbox


async def status(runtime: PodmanRuntime, sandbox_id: str) -> v1.PodSandboxStatus:
    return (await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))).status


async def test_a_sandbox_is_a_pod_whose_infra_container_is_the_pause_program(
    run_sandbox: RunSandbox, podman_engine: PodmanEngine
) -> None:
    pod = call(podman_engine.address, "GET", f"/pods/{await run_sandbox()}/json")
    infra = call(podman_engine.address, "GET", f"/containers/{pod['InfraContainerID']}/json")
    assert (infra["IsInfra"], infra["ImageName"], infra["Path"]) == (True, pause.NAME, pause.PROGRAM)


async def test_the_pause_image_comes_back_when_somebody_removed_it(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine
) -> None:
    first = await run_sandbox("first")
    await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=first))
    call(podman_engine.address, "DELETE", f"/images/{pause.NAME}")
    await asyncio.gather(run_sandbox("second"), run_sandbox("third"))


async def test_what_a_crash_left_makes_way(run_sandbox: RunSandbox, podman_engine: PodmanEngine) -> None:
    name = sandbox_name(sandbox().metadata)
    body = {"name": name, "infra_name": infra_name(name), "infra_image": pause.NAME, "infra_command": [pause.PROGRAM]}
    await run_sandbox("other")  # brings the image
    call(podman_engine.address, "POST", "/pods/create", body=body)
    assert await run_sandbox()


async def test_a_sandbox_that_stands_is_named(run_sandbox: RunSandbox) -> None:
    there = await run_sandbox()
    with pytest.raises(AlreadyExists) as caught:
        await run_sandbox()
    assert caught.value.details["pod_sandbox_id"] == there


async def test_a_sandbox_whose_infra_container_died_is_not_ready_and_has_no_address(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine
) -> None:
    sandbox_id = await run_sandbox()
    infra = call(podman_engine.address, "GET", f"/pods/{sandbox_id}/json")["InfraContainerID"]
    call(podman_engine.address, "POST", f"/containers/{infra}/stop", {"timeout": "0"})
    found = await status(runtime, sandbox_id)
    assert (found.state, found.network.ip) == (v1.SANDBOX_NOTREADY, "")


async def test_a_pod_of_somebody_else_is_no_sandbox(runtime: PodmanRuntime, podman_engine: PodmanEngine) -> None:
    made = call(podman_engine.address, "POST", "/pods/create", body={"name": "theirs", "no_infra": True})
    try:
        with pytest.raises(NotFound):
            await status(runtime, made["Id"])
        assert not (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items
    finally:
        call(podman_engine.address, "DELETE", "/pods/theirs", {"force": "true"})


@pytest.mark.parametrize("name", ["minicri_sandbox_web_tests_uid-web_0", "../info", "x y", "a" * 12])
async def test_only_the_whole_id_names_a_sandbox(runtime: PodmanRuntime, run_sandbox: RunSandbox, name: str) -> None:
    sandbox_id = await run_sandbox()
    with pytest.raises(NotFound):
        await status(runtime, sandbox_id[:12] if name.startswith("aa") else name)


@pytest.mark.usefixtures("root")
async def test_containers_have_the_users_of_their_sandbox(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine
) -> None:
    sandbox_id = await run_sandbox(linux=linux(namespace_options=own_users()))
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="c"), image=v1.ImageSpec(image="busybox"), command=["sleep", "1000"]
    )
    request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config)
    container_id = (await runtime.create_container(request)).container_id
    await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    answer = await runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=["cat", "/proc/self/uid_map"]))
    assert answer.stdout.split() == [b"0", b"100000", b"65536"]


async def test_an_engine_that_is_away_is_told_as_such() -> None:
    config = PodmanConfig(host="unix:///nowhere/podman.sock")
    probe = await backend.probe(config)
    assert not probe.available
    assert "podman system service" in probe.detail
    with pytest.raises(Unavailable, match="does not answer"):
        await backend.open(config)


async def test_an_engine_that_answers_says_which_it_is(podman_engine: PodmanEngine) -> None:
    probe = await backend.probe(PodmanConfig(host=podman_engine.address))
    assert probe.available
    assert probe.features["netavark"]
