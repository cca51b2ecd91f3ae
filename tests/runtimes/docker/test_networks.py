"""Named networks, static addresses and names on a real engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import timedelta

import docker
import docker.errors
import pytest
from docker.types import IPAMConfig, IPAMPool

from cri.annotations import EXTRA_HOSTS, IPV4, IPV6, MAC_ADDRESS, NETWORK, NETWORK_ALIASES, NETWORK_SUBNETS
from cri.errors import FailedPrecondition, InvalidArgument
from runtimes.docker.config import DockerConfig
from runtimes.docker.runtime import DockerRuntime
from runtimes.shared import labels, named_networks
from tests.host.engines import DockerEngine
from tests.runtimes.docker import calls
from tests.runtimes.docker.conftest import RunSandbox

SUBNETS = "10.249.77.0/24,fd00:249:77::/64"


@pytest.fixture(autouse=True)
def no_network_is_left(engine_client: docker.DockerClient) -> Iterator[None]:
    """Looks after all other fixtures are gone, because it is there before them."""
    before = {network.name for network in engine_client.networks.list()}
    yield
    assert {network.name for network in engine_client.networks.list()} == before


@pytest.fixture
def network() -> str:
    """A network name that nobody has."""
    return f"minicri-test-{uuid.uuid4().hex[:8]}"


def exists(client: docker.DockerClient, name: str) -> bool:
    return bool(client.networks.list(names=[f"^{name}$"]))


async def test_a_named_network_is_made_for_the_first_and_removed_with_the_last(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient, network: str
) -> None:
    one, two = await asyncio.gather(*(run_sandbox(name, annotations={NETWORK: network}) for name in ("one", "two")))
    assert engine_client.networks.get(network).attrs["Labels"][labels.KIND] == labels.NETWORK
    assert len(engine_client.networks.list(names=[network])) == 1
    await calls.remove(runtime, one)
    assert exists(engine_client, network)
    await calls.remove(runtime, two)
    assert not exists(engine_client, network)


async def test_a_network_of_somebody_else_is_used_and_left(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient, network: str
) -> None:
    theirs = engine_client.networks.create(network)
    try:
        sandbox_id = await run_sandbox(annotations={NETWORK: network})
        theirs.reload()
        assert sandbox_id in theirs.attrs["Containers"]
        await calls.remove(runtime, sandbox_id)
        assert exists(engine_client, network)
    finally:
        theirs.remove()


async def test_sandboxes_that_come_and_go_at_once_never_miss_their_network(
    runtime: DockerRuntime, run_sandbox: RunSandbox, network: str
) -> None:
    async def come_and_go(name: str) -> None:
        for _ in range(3):
            await calls.remove(runtime, await run_sandbox(name, annotations={NETWORK: network}))

    await asyncio.gather(*(come_and_go(f"web-{index}") for index in range(3)))


async def test_static_addresses_are_the_sandboxs_own(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient, network: str
) -> None:
    wish = {
        NETWORK: network,
        NETWORK_SUBNETS: SUBNETS,
        IPV4: "10.249.77.10",
        IPV6: "fd00:249:77::10",
        MAC_ADDRESS: "02:42:ac:11:00:77",
    }
    sandbox_id = await run_sandbox(annotations=wish)
    status = await calls.status(runtime, sandbox_id)
    assert status.network.ip == "10.249.77.10"
    assert [each.ip for each in status.network.additional_ips] == ["fd00:249:77::10"]
    assert "02:42:ac:11:00:77" in calls.output(engine_client, sandbox_id, "ip", "link", "show", "eth0").lower()


async def test_a_mac_address_works_on_the_default_network(
    run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox(annotations={MAC_ADDRESS: "02-42-AC-11-00-78"})
    assert "02:42:ac:11:00:78" in calls.output(engine_client, sandbox_id, "ip", "link", "show", "eth0").lower()


async def test_others_on_the_network_find_a_sandbox_by_its_aliases(
    run_sandbox: RunSandbox, engine_client: docker.DockerClient, network: str
) -> None:
    wish = {NETWORK: network, NETWORK_SUBNETS: "10.249.78.0/24", IPV4: "10.249.78.10", NETWORK_ALIASES: "db, db.shop"}
    await run_sandbox("db", annotations=wish)
    asking = await run_sandbox("web", annotations={NETWORK: network})
    for alias in ("db", "db.shop"):
        assert "10.249.78.10" in calls.output(engine_client, asking, "nslookup", f"{alias}.")


async def test_extra_hosts_stand_in_the_hosts_file(run_sandbox: RunSandbox, engine_client: docker.DockerClient) -> None:
    sandbox_id = await run_sandbox(annotations={EXTRA_HOSTS: "db=10.1.2.3,gateway=host-gateway"})
    lines = [line.split() for line in calls.output(engine_client, sandbox_id, "cat", "/etc/hosts").splitlines()]
    assert ["10.1.2.3", "db"] in lines
    assert any(line[1:] == ["gateway"] for line in lines)


async def test_a_sandbox_without_network_has_loopback_only(
    runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox(annotations={NETWORK: "none"})
    assert not (await calls.status(runtime, sandbox_id)).network.ip
    links = [line for line in calls.output(engine_client, sandbox_id, "ip", "-o", "link").splitlines() if "UP" in line]
    assert len(links) == 1


async def test_other_subnets_than_the_networks_are_refused_with_those_it_has(
    run_sandbox: RunSandbox, engine_client: docker.DockerClient, network: str
) -> None:
    pool = IPAMPool(subnet="10.249.79.0/24")
    theirs = engine_client.networks.create(network, ipam=IPAMConfig(pool_configs=[pool]))
    try:
        with pytest.raises(InvalidArgument, match=r"10\.249\.79\.0/24.*10\.249\.80\.0/24"):
            await run_sandbox(annotations={NETWORK: network, NETWORK_SUBNETS: "10.249.80.0/24"})
    finally:
        theirs.remove()


async def test_an_address_that_is_taken_is_an_error_and_the_network_stays_usable(
    run_sandbox: RunSandbox, network: str
) -> None:
    wish = {NETWORK: network, NETWORK_SUBNETS: "10.249.81.0/24", IPV4: "10.249.81.10"}
    await run_sandbox("first", annotations=wish)
    with pytest.raises(FailedPrecondition, match=r"[Aa]ddress already in use|10\.249\.81\.10"):
        await run_sandbox("second", annotations=wish)
    await run_sandbox("third", annotations={NETWORK: network})


async def test_a_network_that_cannot_be_made_leaves_no_sandbox(
    runtime: DockerRuntime, run_sandbox: RunSandbox, network: str
) -> None:
    await run_sandbox("holder", annotations={NETWORK: network, NETWORK_SUBNETS: "10.249.82.0/24"})
    with pytest.raises(FailedPrecondition, match="overlap"):
        await run_sandbox("late", annotations={NETWORK: f"{network}-x", NETWORK_SUBNETS: "10.249.82.0/25"})
    assert len(await calls.listed(runtime)) == 1


async def test_what_a_crash_left_of_a_network_is_swept_when_it_is_old(
    docker_engine: DockerEngine, engine_client: docker.DockerClient, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_client.networks.create(network, labels={labels.KIND: labels.NETWORK})
    config = DockerConfig(host=docker_engine.address)
    async with await DockerRuntime.open(config):
        assert exists(engine_client, network)
    monkeypatch.setattr(named_networks, "SWEEP_AGE", timedelta(seconds=-5))
    async with await DockerRuntime.open(config):
        assert not exists(engine_client, network)
