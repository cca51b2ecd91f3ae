"""What a sandbox asks of the network, and how it is written down."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from cri.annotations import NETWORK, NETWORK_ALIASES, NETWORK_SUBNETS
from cri.errors import FailedPrecondition, InvalidArgument
from cri.networks import NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NetworkSettings
from runtimes.native.network import plan, ports, rules, subnets
from runtimes.native.network.names import EngineNames, mac_for
from runtimes.native.network.rules import Bridged, Published
from tests.runtimes.native.network.engine import port

FOUR, SIX = ip_address("10.0.0.2"), ip_address("fd00::2")
SETTINGS = NetworkSettings(pool="10.98.0.0/22")
NODE = v1.LinuxPodSandboxConfig(
    security_context=v1.LinuxSandboxSecurityContext(namespace_options=v1.NamespaceOption(network=v1.NODE))
)


def published(*mappings: v1.PortMapping, addresses: tuple[object, ...] = (FOUR,)) -> list[Published]:
    read = plan.read(v1.PodSandboxConfig(port_mappings=mappings))
    return plan.published(read.ports, addresses)  # type: ignore[arg-type]


def request(*asked: str) -> NetworkRequest:
    return NetworkRequest("shop", tuple(ip_network(each) for each in asked))


def test_host_port_0_is_not_published() -> None:
    assert published(port(80, 0)) == []


def test_on_the_hosts_network_nothing_is_published() -> None:
    assert plan.read(v1.PodSandboxConfig(linux=NODE, port_mappings=[port(80, 80)])).ports == ()


def test_without_a_host_address_a_port_is_on_all_of_each_version() -> None:
    both = published(port(80, 8080), addresses=(FOUR, SIX))
    assert [(str(each.host_ip), each.target) for each in both] == [("0.0.0.0", FOUR), ("::", SIX)]


def test_loopback_of_ipv6_is_refused_since_the_kernel_routes_nothing_from_there() -> None:
    with pytest.raises(InvalidArgument, match="::1"):
        published(port(80, 8080, "::1"), addresses=(FOUR, SIX))


def test_a_port_that_is_asked_for_twice_is_published_once() -> None:
    assert len(published(port(80, 8080), port(80, 8080))) == 1


def test_names_are_the_aliases_and_the_hostname_in_lower_case() -> None:
    annotations = {NETWORK: "shop", NETWORK_ALIASES: "DB, db, cache"}
    config = v1.PodSandboxConfig(annotations=annotations, hostname="Web-0")
    assert plan.read(config).names == ("db", "cache", "web-0")


def test_name_servers_that_are_no_addresses_are_not_asked() -> None:
    config = v1.PodSandboxConfig(dns_config=v1.DNSConfig(servers=["10.0.0.10", "fe80::1%eth0", "dns.example"]))
    assert plan.read(config).forwarders == ("10.0.0.10",)


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("0.0.0.0", "0.0.0.0", True),
        ("0.0.0.0", "10.1.1.1", True),
        ("10.1.1.1", "0.0.0.0", True),
        ("10.1.1.1", "10.1.1.2", False),
        ("0.0.0.0", "::", False),
        ("::", "fd00::1", True),
    ],
)
def test_ports_collide_when_a_packet_could_be_meant_for_both(one: str, other: str, collide: bool) -> None:
    first, second = (Published("tcp", ip_address(each), 80, FOUR, 80) for each in (one, other))
    assert ports.collide(first, second) is collide


def test_other_protocols_and_ports_do_not_collide() -> None:
    first = Published("tcp", FOUR, 80, FOUR, 80)
    assert not ports.collide(first, Published("udp", FOUR, 80, FOUR, 80))
    assert not ports.collide(first, Published("tcp", FOUR, 81, FOUR, 80))


def test_the_table_has_its_networks_and_ports() -> None:
    text = rules.table("t", [Bridged("br0", (ip_network("10.0.0.0/24"),))], [Published("tcp", FOUR, 80, FOUR, 8080)])
    for line in (
        'add element inet t bridges { "br0" }',
        "add element inet t networks4 { 10.0.0.0/24 }",
        "add element inet t one4 { 10.0.0.2 . tcp . 80 : 10.0.0.2 . 8080 }",
    ):
        assert line in text.splitlines()


def test_what_is_published_is_read_back_from_nft() -> None:
    objects: list[dict[str, Any]] = [
        {"map": {"elem": [[{"concat": ["tcp", 80]}, {"concat": ["10.0.0.2", 8080]}]]}},
        {"map": {"elem": [[{"concat": ["10.1.1.1", "udp", 53]}, {"concat": ["10.0.0.2", 53]}]]}},
        {"map": {"name": "empty"}},
        {"chain": {}},
    ]
    assert rules.published_in(objects) == [
        Published("tcp", ip_address("0.0.0.0"), 80, FOUR, 8080),
        Published("udp", ip_address("10.1.1.1"), 53, FOUR, 53),
    ]


def test_the_default_network_is_as_configured() -> None:
    given = NetworkSettings(subnet="10.9.0.0/16", subnet6="fd00::/64")
    assert subnets.of_default(given, []) == (ip_network("10.9.0.0/16"), ip_network("fd00::/64"))


def test_two_subnets_of_one_version_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=NETWORK_SUBNETS):
        subnets.of_named(request("10.1.0.0/24", "10.2.0.0/24"), SETTINGS, [])


def test_a_subnet_without_room_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="room"):
        subnets.of_named(request("10.1.0.0/31"), SETTINGS, [])


def test_ipv4_comes_first() -> None:
    asked = request("fd00::/64", "10.1.0.0/24")
    assert subnets.of_named(asked, SETTINGS, []) == (ip_network("10.1.0.0/24"), ip_network("fd00::/64"))


def test_an_empty_pool_says_what_to_do() -> None:
    with pytest.raises(FailedPrecondition, match=r"network\.pool.*network-subnets"):
        subnets.of_named(request(), SETTINGS, [ip_network("10.98.0.0/16")])


@pytest.mark.parametrize("subnet", ["10.0.0.1/24", "fd00::/64", "10.0.0.0/31"])
def test_a_configured_subnet_that_is_none_is_refused(subnet: str) -> None:
    with pytest.raises(ValueError, match=r"subnet"):
        NetworkSettings(subnet=subnet)


def test_a_configuration_without_addresses_is_refused() -> None:
    with pytest.raises(ValueError, match="subnet6"):
        NetworkSettings(subnet="")


def test_names_fit_the_kernel_and_tell_engines_apart(tmp_path: Path) -> None:
    one, other = EngineNames(tmp_path / "one"), EngineNames(tmp_path / "other")
    links = {names.link(sandbox_id) for names in (one, other) for sandbox_id in ("a" * 64, "b" * 64)}
    assert len(links) == 4
    assert {len(link) for link in links} == {15}
    assert all(one.is_link(link) != other.is_link(link) for link in links)
    assert one.group != other.group
    assert one.is_other_table(other.table)
    assert not one.is_other_table(one.table)


def test_a_bridge_of_a_named_network_is_not_taken_for_a_link(tmp_path: Path) -> None:
    names = EngineNames(tmp_path)
    assert len(names.bridge("shop")) == 15
    assert not names.is_link(names.bridge("shop"))


def test_hardware_addresses_follow_from_addresses_and_are_local_unicast() -> None:
    assert mac_for(FOUR) == mac_for(FOUR) != mac_for(ip_address("10.0.0.3"))
    for address in (FOUR, SIX):
        assert int(mac_for(address)[:2], 16) & 0b11 == 0b10
