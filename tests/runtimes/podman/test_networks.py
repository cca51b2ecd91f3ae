"""Named networks and what Podman leaves of a sandbox, on a real engine."""

from __future__ import annotations

import asyncio
import glob
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cri.annotations import EXTRA_HOSTS, NETWORK, NETWORK_SUBNETS
from cri.errors import InvalidArgument
from cri.networks import NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.podman import pod_cgroup
from runtimes.podman.config import PodmanConfig
from runtimes.podman.engine import Engine
from runtimes.podman.networks import Networks, network_options
from runtimes.podman.runtime import PodmanRuntime
from runtimes.shared import labels, named_networks
from tests.host.podmans import PodmanEngine, call
from tests.runtimes.behaviour.hand import RunSandbox


@pytest.fixture(autouse=True)
def no_network_is_left(podman_engine: PodmanEngine) -> Iterator[None]:
    """Looks after all other fixtures are gone, because it is there before them."""
    before = names(podman_engine)
    yield
    assert names(podman_engine) == before


@pytest.fixture
def network() -> str:
    """A network name that nobody has."""
    return f"minicri-test-{uuid.uuid4().hex[:8]}"


def names(engine: PodmanEngine) -> set[str]:
    return {each["name"] for each in call(engine.address, "GET", "/networks/json")}


async def remove(runtime: PodmanRuntime, sandbox_id: str) -> None:
    await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))


async def test_a_named_network_is_made_for_the_first_and_removed_with_the_last(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine, network: str
) -> None:
    one, two = await asyncio.gather(*(run_sandbox(name, annotations={NETWORK: network}) for name in ("one", "two")))
    await remove(runtime, one)
    assert network in names(podman_engine)
    await remove(runtime, two)
    assert network not in names(podman_engine)


async def test_a_network_of_somebody_else_is_used_and_left(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine, network: str
) -> None:
    call(podman_engine.address, "POST", "/networks/create", body={"name": network})
    try:
        await remove(runtime, await run_sandbox(annotations={NETWORK: network}))
        assert network in names(podman_engine)
    finally:
        call(podman_engine.address, "DELETE", f"/networks/{network}")


async def test_a_network_with_other_subnets_is_refused(
    run_sandbox: RunSandbox, podman_engine: PodmanEngine, network: str
) -> None:
    call(podman_engine.address, "POST", "/networks/create", body={"name": network})
    try:
        with pytest.raises(InvalidArgument, match="network-subnets"):
            await run_sandbox(annotations={NETWORK: network, NETWORK_SUBNETS: "10.249.77.0/24"})
    finally:
        call(podman_engine.address, "DELETE", f"/networks/{network}")


async def test_a_network_goes_when_its_first_sandbox_cannot_be_made(
    run_sandbox: RunSandbox, podman_engine: PodmanEngine, network: str
) -> None:
    bad = v1.LinuxPodSandboxConfig(sysctls={"vm.swappiness": "1"})
    with pytest.raises(InvalidArgument):
        await run_sandbox(annotations={NETWORK: network}, linux=bad)
    assert network not in names(podman_engine)


async def test_a_network_that_a_crash_left_is_swept(
    podman_engine: PodmanEngine, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body: dict[str, Any] = {"name": network, "labels": {labels.KIND: labels.NETWORK}}
    call(podman_engine.address, "POST", "/networks/create", body=body)
    monkeypatch.setattr(named_networks, "SWEEP_AGE", timedelta(seconds=-5))
    engine = Engine(PodmanConfig(host=podman_engine.address))
    try:
        await Networks(engine).sweep()
    finally:
        await engine.aclose()


async def test_the_host_has_the_address_of_the_default_networks_gateway(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, podman_engine: PodmanEngine
) -> None:
    sandbox_id = await run_sandbox(annotations={EXTRA_HOSTS: "me=host-gateway"})
    status = await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))
    pod = call(podman_engine.address, "GET", f"/pods/{sandbox_id}/json")
    (name,) = pod["InfraConfig"]["Networks"]
    subnets = call(podman_engine.address, "GET", f"/networks/{name}/json")["subnets"]
    assert f"me:{subnets[0]['gateway']}" in pod["InfraConfig"]["HostAdd"]
    assert status.status.network.ip


@pytest.mark.usefixtures("root")
async def test_no_cgroup_of_a_sandbox_is_left(runtime: PodmanRuntime, run_sandbox: RunSandbox) -> None:
    sandbox_id = await run_sandbox()
    assert left_of(sandbox_id)
    await remove(runtime, sandbox_id)
    assert left_of(sandbox_id) == []


def left_of(sandbox_id: str) -> list[str]:
    """Cgroups of other tests go while this looks: ``glob`` passes over a folder that has gone, pathlib's raises."""
    return glob.glob(f"/sys/fs/cgroup/**/{sandbox_id}*", recursive=True)


def test_only_empty_cgroups_of_the_pod_are_removed(tmp_path: Path) -> None:
    pod = {"Id": "p1", "CgroupPath": "/x.slice/pods/p1"}
    for folder in ("systemd/x.slice/pods/p1/conmon", "unified/x.slice/pods/p2", "memory/other/p1"):
        (tmp_path / folder).mkdir(parents=True)
    pod_cgroup.remove(pod, tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*/*")) == [
        "memory/other/p1",
        "unified/x.slice/pods",
    ]


def test_a_bridge_has_a_name_of_our_choice() -> None:
    made = network_options(NetworkRequest(network="shop"), "mcri-1")
    assert (made["name"], made["network_interface"], made["dns_enabled"]) == ("shop", "mcri-1", True)
