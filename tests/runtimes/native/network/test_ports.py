"""Ports of the host that lead to sandboxes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cri.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine, port
from tests.runtimes.native.network.engine import engine as another


@pytest.mark.parametrize("address", ["127.0.0.1", host.HOST, "10.99.0.1"])
async def test_a_port_is_reached_from_the_host(engine: Engine, outside: Path, address: str) -> None:
    sandbox = await engine.sandbox(port_mappings=[port(80, 8080)])
    with host.server(sandbox.netns, 80) as listening:
        host.answers(listening, None, address, 8080)


async def test_a_port_is_reached_from_beyond_the_host_and_the_caller_is_seen(engine: Engine, outside: Path) -> None:
    sandbox = await engine.sandbox(port_mappings=[port(80, 8080)])
    with host.server(sandbox.netns, 80) as listening:
        assert host.answers(listening, outside, host.HOST, 8080) == host.OUTSIDE


async def test_a_port_is_reached_from_other_sandboxes(engine: Engine) -> None:
    sandbox, other = await engine.sandbox(port_mappings=[port(80, 8080)]), await engine.sandbox()
    with host.server(sandbox.netns, 80) as listening:
        host.answers(listening, other.netns, sandbox.attachment.host, 8080)


@pytest.mark.parametrize("filters_bridged", ["0", "1"])
async def test_a_sandbox_reaches_itself_by_the_hosts_port(engine: Engine, filters_bridged: str) -> None:
    try:
        host.sysctl("net/bridge/bridge-nf-call-iptables", filters_bridged)
    except FileNotFoundError:
        pytest.skip("this kernel does not filter what is bridged")
    sandbox = await engine.sandbox(port_mappings=[port(80, 8080)])
    with host.server(sandbox.netns, 80) as listening:
        host.answers(listening, sandbox.netns, sandbox.attachment.host, 8080)


async def test_a_port_on_one_address_is_on_that_address_only(engine: Engine, outside: Path) -> None:
    sandbox = await engine.sandbox(port_mappings=[port(80, 8080, "127.0.0.1")])
    with host.server(sandbox.netns, 80) as listening:
        host.answers(listening, None, "127.0.0.1", 8080)
        with pytest.raises(ConnectionRefusedError):
            host.reach(outside, host.HOST, 8080)


async def test_udp(engine: Engine) -> None:
    sandbox = await engine.sandbox(port_mappings=[port(53, 5353, protocol=v1.UDP)])
    with host.server(sandbox.netns, 53, socket.SOCK_DGRAM) as listening:
        host.answers(listening, None, "127.0.0.1", 5353)


async def test_who_keeps_sending_datagrams_reaches_the_sandbox_that_comes(engine: Engine) -> None:
    mapping = port(53, 5353, protocol=v1.UDP)
    with host.reach(None, "127.0.0.1", 5353, socket.SOCK_DGRAM) as client:
        for _ in range(2):
            client.send(b"nobody")
            with pytest.raises(ConnectionRefusedError):
                client.recv(16)
            sandbox = await engine.sandbox(port_mappings=[mapping])
            with host.server(sandbox.netns, 53, socket.SOCK_DGRAM) as listening:
                client.send(b"hello")
                assert listening.recv(16) == b"hello"
            await engine.detach(sandbox)


async def test_who_keeps_sending_datagrams_reaches_the_next_sandbox(engine: Engine) -> None:
    mapping = port(53, 5353, protocol=v1.UDP)
    with host.reach(None, "127.0.0.1", 5353, socket.SOCK_DGRAM) as client:
        for words in (b"first", b"second"):
            sandbox = await engine.sandbox(port_mappings=[mapping])
            with host.server(sandbox.netns, 53, socket.SOCK_DGRAM) as listening:
                client.send(words)
                assert listening.recv(16) == words
            await engine.detach(sandbox)


async def test_sctp_has_a_rule(engine: Engine) -> None:
    await engine.sandbox(port_mappings=[port(80, 8080, protocol=v1.SCTP)])
    assert "sctp . 8080" in host.rules()


@pytest.mark.parametrize("host_ip", ["", "::", "fd00:9::1"])
async def test_ipv6(private_host: None, tmp_path: Path, outside: Path, host_ip: str) -> None:
    host.ip("address", "add", "fd00:9::1/64", "dev", "uplink", "nodad")
    async with another(tmp_path, subnet6="fd00:99::/64") as engine:
        sandbox = await engine.sandbox(port_mappings=[port(80, 8080, host_ip)])
        with host.server(sandbox.netns, 80, host="::") as listening:
            host.answers(listening, None, "fd00:9::1", 8080)


async def test_the_hosts_ipv6_loopback_is_refused_and_leaves_nothing(private_host: None, tmp_path: Path) -> None:
    async with another(tmp_path, subnet6="fd00:99::/64") as engine:
        with pytest.raises(InvalidArgument, match=r"::1: the kernel routes nothing .* 127\.0\.0\.1 it does"):
            await engine.sandbox("refused", port_mappings=[port(80, 8080, "::1")])
        assert engine.networks.find("refused") is None


async def test_one_port_for_each_protocol(engine: Engine) -> None:
    await engine.sandbox(port_mappings=[port(53, 5353), port(53, 5353, protocol=v1.UDP)])
    with pytest.raises(AlreadyExists, match="5353/udp"):
        await engine.sandbox(port_mappings=[port(9, 5353, protocol=v1.UDP)])


@pytest.mark.parametrize(("first", "second"), [("", ""), ("", "127.0.0.1"), ("127.0.0.1", ""), ("10.9.9.9", "0.0.0.0")])
async def test_a_port_of_another_sandbox_is_refused(engine: Engine, first: str, second: str) -> None:
    host.ip("address", "add", "10.9.9.9/32", "dev", "lo")
    holder = await engine.sandbox(port_mappings=[port(80, 8080, first)])
    with pytest.raises(AlreadyExists, match=f"8080/tcp.*{holder.id}"):
        await engine.sandbox(port_mappings=[port(80, 8080, second)])


async def test_one_port_on_two_addresses_is_two_ports(engine: Engine) -> None:
    host.ip("address", "add", "10.9.9.9/32", "dev", "lo")
    await engine.sandbox(port_mappings=[port(80, 8080, "127.0.0.1")])
    await engine.sandbox(port_mappings=[port(80, 8080, "10.9.9.9")])


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_port_of_a_program_of_the_host_is_refused(engine: Engine, kind: int) -> None:
    protocol = v1.TCP if kind == socket.SOCK_STREAM else v1.UDP
    with host.server(None, 8080, kind, host="127.0.0.1"), pytest.raises(AlreadyExists, match="8080"):
        await engine.sandbox(port_mappings=[port(80, 8080, protocol=protocol)])


async def test_a_refused_sandbox_leaves_nothing(engine: Engine) -> None:
    with host.server(None, 8080), pytest.raises(AlreadyExists):
        await engine.sandbox(port_mappings=[port(80, 8080)])
    await engine.networks.close()
    assert host.interfaces() == {"lo"}
    assert host.rules() == ""


async def test_a_port_is_free_again_at_once(engine: Engine) -> None:
    first = await engine.sandbox(port_mappings=[port(80, 8080)])
    await engine.detach(first)
    second = await engine.sandbox(port_mappings=[port(80, 8080)])
    with host.server(second.netns, 80) as listening:
        host.answers(listening, None, "127.0.0.1", 8080)


async def test_a_port_of_another_engine_is_refused(engine: Engine, tmp_path: Path) -> None:
    await engine.sandbox(port_mappings=[port(80, 8080)])
    async with another(tmp_path / "other", bridge="minicri1", subnet="10.97.0.0/24") as other:
        with pytest.raises(AlreadyExists, match="8080"):
            await other.sandbox(port_mappings=[port(80, 8080)])


async def test_an_address_that_the_host_has_not_is_refused(engine: Engine) -> None:
    with pytest.raises(FailedPrecondition, match=r"10\.9\.9\.9"):
        await engine.sandbox(port_mappings=[port(80, 8080, "10.9.9.9")])


async def test_a_host_address_of_a_version_that_the_sandbox_has_not_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="IPv6"):
        await engine.sandbox(port_mappings=[port(80, 8080, "::")])
