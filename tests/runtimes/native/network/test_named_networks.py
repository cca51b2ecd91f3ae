"""Networks that sandboxes ask for by name."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from cri.annotations import EXTRA_HOSTS, IPV4, IPV6, NETWORK, NETWORK_SUBNETS
from cri.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine, port

SHOP = {NETWORK: "shop", NETWORK_SUBNETS: "10.77.0.0/24"}
BOTH = {NETWORK: "shop", NETWORK_SUBNETS: "10.77.0.0/24, fd00:77::/64"}


async def test_a_network_has_the_subnet_that_is_asked_for(engine: Engine) -> None:
    assert (await engine.sandbox(annotations=SHOP)).ip == "10.77.0.2"


async def test_without_a_wish_each_network_has_a_subnet_of_its_own(engine: Engine) -> None:
    one, other = [await engine.sandbox(annotations={NETWORK: name}) for name in ("one", "other")]
    assert (one.ip, other.ip) == ("10.98.0.2", "10.98.1.2")


async def test_a_subnet_that_the_host_has_a_route_to_is_not_taken(engine: Engine) -> None:
    host.ip("link", "add", "other", "type", "bridge")
    host.ip("address", "add", "10.98.0.1/23", "dev", "other")
    host.ip("link", "set", "other", "up")
    sandbox = await engine.sandbox(annotations={NETWORK: "one"})
    assert ip_address(sandbox.ip) in ip_network("10.98.2.0/24")


async def test_static_addresses_of_both_versions(engine: Engine) -> None:
    sandbox = await engine.sandbox(annotations={**BOTH, IPV4: "10.77.0.42", IPV6: "fd00:77::42"})
    assert (sandbox.ip, *sandbox.attachment.additional_ips) == ("10.77.0.42", "fd00:77::42")


async def test_a_static_address_that_is_taken_names_its_holder(engine: Engine) -> None:
    holder = await engine.sandbox(annotations={**SHOP, IPV4: "10.77.0.42"})
    with pytest.raises(AlreadyExists, match=rf"10\.77\.0\.42.*{holder.id}"):
        await engine.sandbox(annotations={**SHOP, IPV4: "10.77.0.42"})


async def test_a_static_address_is_had_again_right_after_its_holder_left(engine: Engine) -> None:
    wish = {**SHOP, IPV4: "10.77.0.42"}
    keeper = await engine.sandbox(annotations=SHOP)
    await engine.detach(await engine.sandbox(annotations=wish))
    again = await engine.sandbox(annotations=wish)
    with host.server(again.netns, 80) as listening:
        assert host.answers(listening, keeper.netns, "10.77.0.42", 80) == keeper.ip


async def test_the_bridges_own_address_is_taken(engine: Engine) -> None:
    with pytest.raises(AlreadyExists, match="bridge"):
        await engine.sandbox(annotations={**SHOP, IPV4: "10.77.0.1"})


async def test_a_static_address_is_not_given_to_others(engine: Engine) -> None:
    await engine.sandbox(annotations={**SHOP, IPV4: "10.77.0.2"})
    assert (await engine.sandbox(annotations=SHOP)).ip == "10.77.0.3"


async def test_an_address_outside_of_the_network_is_refused(engine: Engine) -> None:
    await engine.sandbox(annotations=SHOP)
    with pytest.raises(InvalidArgument, match=r"minicri\.io/ipv6"):
        await engine.sandbox(annotations={NETWORK: "shop", IPV6: "fd00:77::42"})


async def test_other_subnets_than_the_network_has_are_refused(engine: Engine) -> None:
    await engine.sandbox(annotations=SHOP)
    with pytest.raises(InvalidArgument, match=r"10\.77\.0\.0/24"):
        await engine.sandbox(annotations={**SHOP, NETWORK_SUBNETS: "10.78.0.0/24"})


async def test_a_network_that_is_empty_can_be_made_anew_with_other_subnets(engine: Engine) -> None:
    await engine.detach(await engine.sandbox(annotations=SHOP))
    assert (await engine.sandbox(annotations={**SHOP, NETWORK_SUBNETS: "10.78.0.0/24"})).ip == "10.78.0.2"


async def test_a_subnet_of_another_network_is_refused(engine: Engine) -> None:
    await engine.sandbox()
    with pytest.raises(FailedPrecondition, match=r"10\.99\.0\.0/24"):
        await engine.sandbox(annotations={NETWORK: "shop", NETWORK_SUBNETS: "10.99.0.128/25"})


async def test_the_network_goes_with_its_last_sandbox(engine: Engine) -> None:
    before, links = host.rules(), host.interfaces()
    sandboxes = [await engine.sandbox(annotations=SHOP) for _ in range(2)]
    await engine.detach(sandboxes[0])
    await engine.networks.settle()
    assert len(host.interfaces() - links) == 2
    await engine.detach(sandboxes[1])
    await engine.networks.settle()
    assert host.interfaces() == links
    assert host.rules() == before


async def test_networks_do_not_reach_each_other(engine: Engine) -> None:
    one, other = await engine.sandbox(annotations=SHOP), await engine.sandbox()
    with host.server(one.netns, 80), pytest.raises(TimeoutError):
        host.reach(other.netns, one.ip, 80)


async def test_a_published_port_is_reached_from_another_network(engine: Engine) -> None:
    one = await engine.sandbox(annotations=SHOP, port_mappings=[port(80, 8080)])
    other = await engine.sandbox()
    with host.server(one.netns, 80) as listening:
        host.answers(listening, other.netns, other.attachment.host, 8080)


async def test_the_host_is_known_by_its_address_on_the_network(engine: Engine) -> None:
    sandbox = await engine.sandbox(annotations={**SHOP, EXTRA_HOSTS: "outside=host-gateway, db=10.1.2.3"})
    assert sandbox.attachment.extra_hosts == (("outside", "10.77.0.1"), ("db", "10.1.2.3"))


async def test_the_world_is_reached_from_a_named_network(engine: Engine, outside: Path) -> None:
    sandbox = await engine.sandbox(annotations=SHOP)
    with host.server(outside, 80) as listening:
        assert host.answers(listening, sandbox.netns, host.OUTSIDE, 80) == host.HOST
