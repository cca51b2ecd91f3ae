"""Sandboxes on the default network, and what is left of it."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_interface
from pathlib import Path

import pytest

from cri.annotations import MAC_ADDRESS, NETWORK
from cri.errors import FailedPrecondition, ResourceExhausted
from cri.v1 import api_pb2 as v1
from runtimes.native.network import namespaces
from runtimes.native.network.user_namespaces import UserMap
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine
from tests.runtimes.native.network.engine import engine as another

NODE = v1.LinuxPodSandboxConfig(
    security_context=v1.LinuxSandboxSecurityContext(namespace_options=v1.NamespaceOption(network=v1.NODE))
)


async def test_sandboxes_reach_each_other_by_address(engine: Engine) -> None:
    one, other = await engine.sandbox(), await engine.sandbox()
    with host.server(one.netns, 80) as listening:
        assert host.answers(listening, other.netns, one.ip, 80) == other.ip


async def test_the_host_reaches_a_sandbox_by_address(engine: Engine) -> None:
    sandbox = await engine.sandbox()
    with host.server(sandbox.netns, 80) as listening:
        assert host.answers(listening, None, sandbox.ip, 80) == sandbox.attachment.host


async def test_a_sandbox_reaches_the_world_under_the_hosts_address(engine: Engine, outside: Path) -> None:
    sandbox = await engine.sandbox()
    with host.server(outside, 80) as listening:
        assert host.answers(listening, sandbox.netns, host.OUTSIDE, 80) == host.HOST


async def test_a_sandbox_has_its_own_loopback(engine: Engine) -> None:
    sandbox = await engine.sandbox()
    with host.server(sandbox.netns, 80, host="127.0.0.1") as listening:
        assert host.answers(listening, sandbox.netns, "127.0.0.1", 80) == "127.0.0.1"


async def test_a_sandbox_cannot_use_its_bridge_to_reach_the_hosts_loopback(engine: Engine) -> None:
    sandbox = await engine.sandbox()
    with host.inside(sandbox.netns):
        host.ip("address", "delete", "127.0.0.1/8", "dev", "lo")
        host.sysctl("net/ipv4/conf/eth0/route_localnet", "1")
        host.ip("route", "add", "127.0.0.1/32", "via", sandbox.attachment.host, "src", sandbox.ip)
    with host.server(None, 80, host="127.0.0.1") as listening:
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            host.answers(listening, sandbox.netns, "127.0.0.1", 80)


async def test_a_hardware_address_can_be_chosen(engine: Engine) -> None:
    sandbox = await engine.sandbox(annotations={MAC_ADDRESS: "02:42:ac:11:00:99"})
    with host.inside(sandbox.netns):
        assert "02:42:ac:11:00:99" in host.ip("link", "show", "eth0")


async def test_packets_are_as_large_as_the_hosts(engine: Engine, outside: Path) -> None:
    host.ip("link", "set", "uplink", "mtu", "1380")
    sandbox = await engine.sandbox()
    with host.inside(sandbox.netns):
        assert "mtu 1380" in host.ip("link", "show", "eth0")


async def test_sysctls_of_the_interface_are_set(engine: Engine) -> None:
    linux = v1.LinuxPodSandboxConfig(sysctls={"net.ipv4.conf.eth0.log_martians": "1"})
    sandbox = await engine.sandbox(linux=linux)
    with host.inside(sandbox.netns):
        assert host.sysctl("net/ipv4/conf/eth0/log_martians") == "1"


async def test_a_sandbox_without_network_has_loopback_only(engine: Engine) -> None:
    sandbox = await engine.sandbox(annotations={NETWORK: "none"})
    assert sandbox.ip == ""
    with host.inside(sandbox.netns):
        assert host.interfaces() == {"lo"}
        assert "LOOPBACK,UP" in host.ip("link", "show", "lo")


async def test_a_sandbox_on_the_hosts_network_has_nothing_of_its_own(engine: Engine) -> None:
    attached = await engine.networks.attach("sandbox", v1.PodSandboxConfig(linux=NODE), netns=None)
    assert (attached.netns, attached.ip) == (None, "")
    assert host.interfaces() == {"lo"}


async def test_both_versions_of_ip_at_once(private_host: None, tmp_path: Path) -> None:
    async with another(tmp_path, subnet6="fd00:99::/64") as engine:
        one, other = await engine.sandbox(), await engine.sandbox()
        assert one.attachment.additional_ips == ("fd00:99::2",)
        with host.server(one.netns, 80, host="::") as listening:
            assert host.answers(listening, other.netns, "fd00:99::2", 80) == "fd00:99::3"


async def test_ipv6_alone(private_host: None, tmp_path: Path) -> None:
    async with another(tmp_path, subnet="", subnet6="fd00:99::/64") as engine:
        sandbox = await engine.sandbox()
        assert sandbox.ip == "fd00:99::2"
        with host.server(sandbox.netns, 80, host="::") as listening:
            host.answers(listening, None, sandbox.ip, 80)


async def test_what_a_sandbox_has_is_found_by_another_process(engine: Engine, tmp_path: Path) -> None:
    sandbox = await engine.sandbox()
    other = Engine(tmp_path)
    assert other.networks.find(sandbox.id) == sandbox.attachment
    await other.close()


async def test_a_detached_sandbox_has_no_network(engine: Engine) -> None:
    sandbox = await engine.sandbox()
    await engine.detach(sandbox)
    await engine.networks.settle()
    assert engine.networks.find(sandbox.id) is None
    with host.inside(sandbox.netns):
        assert host.interfaces() == {"lo"}


async def test_detaching_twice_or_what_never_was_attached_succeeds(engine: Engine) -> None:
    sandbox = await engine.sandbox()
    await engine.detach(sandbox)
    await engine.detach(sandbox)
    await engine.networks.detach("nobody")


async def test_a_sandbox_that_is_attached_again_gets_a_new_link(engine: Engine) -> None:
    first = await engine.sandbox("same")
    await engine.detach(first)
    config = v1.PodSandboxConfig()
    again = await engine.networks.attach("same", config, netns=first.netns)
    with host.inside(first.netns):
        assert again.ip in host.ip("address", "show", "eth0")


async def test_an_address_rests_before_somebody_else_has_it(engine: Engine) -> None:
    first = await engine.sandbox()
    await engine.detach(first)
    await engine.networks.settle()
    assert (await engine.sandbox()).ip != first.ip


async def test_many_at_once_have_an_address_each(engine: Engine) -> None:
    sandboxes = await asyncio.gather(*(engine.sandbox() for _ in range(20)))
    assert len({each.ip for each in sandboxes}) == 20


async def test_a_full_network_says_so(private_host: None, tmp_path: Path) -> None:
    async with another(tmp_path, subnet="10.99.0.0/30") as engine:
        await engine.sandbox()
        with pytest.raises(ResourceExhausted, match=r"10\.99\.0\.0/30"):
            await engine.sandbox()


async def test_with_the_last_sandbox_everything_goes(engine: Engine) -> None:
    before, links = host.rules(), host.interfaces()
    sandboxes = [await engine.sandbox() for _ in range(3)]
    for each in sandboxes:
        await engine.detach(each)
    await engine.networks.close()
    assert host.rules() == before
    assert host.interfaces() == links


async def test_the_hosts_own_rules_stay_as_they_were(engine: Engine) -> None:
    host.run(["nft", "add table ip mine; add chain ip mine c { type filter hook input priority 0; }"])
    host.run(["nft", "add rule ip mine c tcp dport 9 drop"])
    before = host.rules()
    sandbox = await engine.sandbox()
    assert host.rules().startswith(before)
    await engine.detach(sandbox)
    await engine.networks.close()
    assert host.rules() == before


async def test_the_host_routes_packets_and_the_log_says_so(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    host.sysctl("net/ipv4/ip_forward", "0")
    with caplog.at_level(logging.WARNING):
        await engine.sandbox()
    assert host.sysctl("net/ipv4/ip_forward") == "1"
    assert "net.ipv4.ip_forward" in caplog.text


async def test_a_firewall_in_the_way_is_told_and_left_alone(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    hook = "type filter hook forward priority 0; policy drop;"
    host.run(["nft", f"add table ip mine; add chain ip mine guard {{ {hook} }}"])
    before = host.rules()
    with caplog.at_level(logging.WARNING):
        await engine.sandbox()
    assert "ip mine guard" in caplog.text
    assert "minicri0" in caplog.text
    assert host.rules().startswith(before)


async def test_a_sandbox_with_users_of_its_own_is_connected_as_well(engine: Engine, tmp_path: Path) -> None:
    users = UserMap(((0, 100000, 65536),), ((0, 100000, 65536),))
    directory = engine.places.namespaces("mapped")
    pinned = await namespaces.create(("net", "user"), directory, users=users)
    attached = await engine.networks.attach("mapped", v1.PodSandboxConfig(), netns=pinned["net"])
    with host.server(pinned["net"], 80) as listening:
        host.answers(listening, None, attached.ip, 80)


async def test_a_bridge_of_somebody_else_is_left_alone(engine: Engine) -> None:
    host.ip("link", "add", "minicri0", "type", "bridge")
    with pytest.raises(FailedPrecondition, match=r"minicri0.*network\.bridge"):
        await engine.sandbox()
    await engine.networks.close()
    assert "minicri0" in host.interfaces()


@pytest.mark.parametrize("address", ["10.99.0.7/24", "10.99.0.129/25"])
async def test_a_subnet_that_the_host_is_in_is_refused_and_left_alone(engine: Engine, address: str) -> None:
    host.ip("address", "add", address, "dev", "lo")
    host.ip("route", "add", str(ip_interface(address).network), "dev", "lo")
    with pytest.raises(FailedPrecondition, match=r"route to 10\.99\.0\."):
        await engine.sandbox()
    await engine.networks.close()
    assert host.interfaces() == {"lo"}
    assert host.rules() == ""


async def test_a_wider_route_of_the_host_does_no_harm(engine: Engine) -> None:
    host.ip("route", "add", "10.0.0.0/8", "dev", "lo")
    sandbox = await engine.sandbox()
    with host.server(sandbox.netns, 80) as listening:
        host.answers(listening, None, sandbox.ip, 80)


async def test_two_engines_live_side_by_side(engine: Engine, tmp_path: Path) -> None:
    async with another(tmp_path / "other", bridge="minicri1", subnet="10.97.0.0/24") as other:
        one, two = await engine.sandbox("same-id"), await other.sandbox("same-id")
        await other.networks.recover(set)
        assert other.networks.find(two.id) is None
        with host.server(one.netns, 80) as listening:
            host.answers(listening, None, one.ip, 80)


async def test_rules_that_somebody_flushed_come_back_with_the_next_sandbox(engine: Engine) -> None:
    await engine.sandbox()
    before = host.rules()
    host.run(["nft", "flush", "ruleset"])
    await engine.sandbox()
    assert host.rules() == before
