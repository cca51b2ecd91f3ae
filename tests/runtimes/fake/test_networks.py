"""Who has which address, who reaches whom, and what really listens on this host."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cri import annotations as names
from cri.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from cri.v1 import api_pb2 as v1
from runtimes.fake.config import FakeConfig
from runtimes.fake.runtime import FakeRuntime
from tests.conformance.kit import free_port
from tests.runtimes.fake.calls import Calls


def shop(**more: str) -> dict[str, str]:
    return {names.NETWORK: "shop", **more}


async def page(port: int) -> bytes:
    def get() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            found: bytes = answer.read()
            return found

    return await asyncio.to_thread(get)


async def fetched(calls: Calls, sandbox: str, host: str) -> bytes:
    container = await calls.run("sleep", "1000", sandbox=sandbox)
    return (await calls.exec(container, "wget", "-q", "-O", "-", f"http://{host}/")).stdout


async def address(calls: Calls, sandbox: str) -> str:
    return (await calls.sandbox_status(sandbox)).network.ip


async def test_each_sandbox_has_an_address_of_its_own(calls: Calls) -> None:
    assert {await address(calls, await calls.sandbox()) for _ in range(5)} == {f"10.88.0.{n}" for n in range(2, 7)}


async def test_a_sandbox_is_reached_by_address_and_not_by_name_on_the_default_network(calls: Calls) -> None:
    server = await calls.sandbox("server")
    await calls.serve(server)
    client = await calls.sandbox()
    assert await fetched(calls, client, await address(calls, server)) == b"hello\n"
    assert await fetched(calls, client, "server") == b""


async def test_aliases_and_hostnames_are_known_on_a_named_network_and_only_there(calls: Calls) -> None:
    server = await calls.sandbox("server", annotations=shop(**{names.NETWORK_ALIASES: "db,cache"}))
    await calls.serve(server)
    inside, outside = await calls.sandbox(annotations=shop()), await calls.sandbox()
    for host in ("server", "db", "cache"):
        assert await fetched(calls, inside, host) == b"hello\n"
        assert await fetched(calls, outside, host) == b""


async def test_a_named_network_goes_with_its_last_member(calls: Calls) -> None:
    one, two = await calls.sandbox(annotations=shop()), await calls.sandbox(annotations=shop())
    await calls.remove_sandbox(one)
    assert calls.runtime.world.networks.names() == ["shop"]
    await calls.stop_sandbox(two)
    assert calls.runtime.world.networks.names() == []


async def test_a_static_address_is_given_and_refused_to_a_second_one(calls: Calls) -> None:
    wanted = shop(**{names.IPV4: "10.77.0.10", names.NETWORK_SUBNETS: "10.77.0.0/24"})
    assert await address(calls, await calls.sandbox(annotations=wanted)) == "10.77.0.10"
    with pytest.raises(FailedPrecondition, match=r"10\.77\.0\.10"):
        await calls.sandbox(annotations=wanted)


async def test_a_refused_sandbox_leaves_no_network_behind(calls: Calls) -> None:
    with pytest.raises(InvalidArgument):
        await calls.sandbox(annotations=shop(**{names.IPV4: "192.168.9.9"}))
    assert calls.runtime.world.networks.names() == []


async def test_a_full_network_says_so(calls: Calls) -> None:
    small = shop(**{names.NETWORK_SUBNETS: "10.77.0.0/30"})
    await calls.sandbox(annotations=small)
    with pytest.raises(ResourceExhausted, match="shop"):
        await calls.sandbox(annotations=small)


async def test_two_families_give_two_addresses(tmp_path: Path) -> None:
    async with FakeRuntime.open(FakeConfig(subnets=("10.88.0.0/16", "fd00:88::/64"))) as runtime:
        calls = Calls(runtime, tmp_path)
        network = (await calls.sandbox_status(await calls.sandbox())).network
        assert (network.ip, [each.ip for each in network.additional_ips]) == ("10.88.0.2", ["fd00:88::2"])


async def test_extra_hosts_and_the_sandboxs_own_name_are_in_etc_hosts(calls: Calls) -> None:
    extra = {names.EXTRA_HOSTS: "up=host-gateway,other=10.1.2.3"}
    sandbox = await calls.sandbox("web", annotations=extra)
    _, output, _ = await calls.sh("cat /etc/hosts", sandbox=sandbox)
    assert output == "127.0.0.1\tlocalhost\n10.88.0.2\tweb\n10.88.0.1\tup\n10.1.2.3\tother\n"


async def test_without_a_network_there_is_only_oneself(calls: Calls) -> None:
    alone = await calls.sandbox(annotations={names.NETWORK: "none"})
    await calls.serve(alone)
    assert await address(calls, alone) == ""
    assert await fetched(calls, alone, "localhost") == b"hello\n"


async def test_a_published_port_serves_a_page_on_this_host(calls: Calls) -> None:
    port = free_port()
    sandbox = await calls.sandbox(port_mappings=[v1.PortMapping(container_port=80, host_port=port)])
    await calls.serve(sandbox)
    assert await page(port) == b"hello\n"


async def test_a_published_port_is_free_again_once_the_sandbox_is_stopped(calls: Calls) -> None:
    port = free_port()
    mappings = [v1.PortMapping(container_port=80, host_port=port)]
    await calls.stop_sandbox(await calls.sandbox(port_mappings=mappings))
    assert await calls.sandbox(port_mappings=mappings)


async def test_a_port_behind_which_nothing_listens_resets(calls: Calls) -> None:
    port = free_port()
    await calls.sandbox(port_mappings=[v1.PortMapping(container_port=80, host_port=port)])
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        await page(port)


async def test_a_taken_port_is_refused_and_everything_else_given_back(calls: Calls) -> None:
    port = free_port()
    mappings = [
        v1.PortMapping(container_port=80, host_port=free_port()),
        v1.PortMapping(container_port=81, host_port=port),
    ]
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(FailedPrecondition, match=str(port)):
            await calls.sandbox("web", port_mappings=mappings)
        assert not calls.runtime.world.sandboxes
    assert await address(calls, await calls.sandbox("web", port_mappings=mappings))


async def test_a_host_port_of_zero_is_no_host_port(calls: Calls) -> None:
    assert await calls.sandbox(port_mappings=[v1.PortMapping(container_port=80)])
    assert await calls.sandbox(port_mappings=[v1.PortMapping(container_port=80)])


async def test_udp_is_kept_from_being_published_twice(calls: Calls) -> None:
    mappings = [v1.PortMapping(container_port=53, host_port=5353, protocol=v1.UDP)]
    await calls.sandbox(port_mappings=mappings)
    with pytest.raises(FailedPrecondition, match="5353/udp"):
        await calls.sandbox(port_mappings=mappings)


async def test_a_sandbox_on_the_hosts_network_listens_on_this_host(calls: Calls) -> None:
    options = v1.NamespaceOption(network=v1.NODE)
    linux = v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(namespace_options=options))
    sandbox, port = await calls.sandbox(linux=linux), free_port()
    await calls.serve(sandbox, port)
    assert await address(calls, sandbox) == ""
    assert await page(port) == b"hello\n"


async def test_an_open_connection_does_not_keep_the_runtime_from_closing(tmp_path: Path) -> None:
    port = free_port()
    async with FakeRuntime.open(FakeConfig(preloaded=("busybox",))) as runtime:
        calls = Calls(runtime, tmp_path)
        sandbox = await calls.sandbox(port_mappings=[v1.PortMapping(container_port=80, host_port=port)])
        await calls.serve(sandbox)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
