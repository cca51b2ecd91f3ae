"""A sandbox's network: addresses, names, published ports; the annotations of ``cri.annotations``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest

from cri.annotations import (
    EXTRA_HOSTS,
    IPV4,
    IPV6,
    MAC_ADDRESS,
    NETWORK,
    NETWORK_ALIASES,
    NETWORK_SUBNETS,
)
from cri.errors import AlreadyExists, CRIError, FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, eventually, free_port
from tests.conformance.web import HOST_NETWORK, MEMBER_OF_HOST, httpd, page_at


def subnet(kit: Kit) -> str:
    """A subnet that no other test uses, and nobody on the host either, as far as a test can tell."""
    number = int(kit.fresh("net").rpartition("-")[2]) % 250
    # Of several processes of one run each has its own: their engines are different ones, the host is the same.
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw") or os.getpid())
    return f"10.{240 + process % 10}.{number}.0/24"


async def serve(kit: Kit, sandbox_id: str, page: str, port: int = 80) -> str:
    """A container in the sandbox that serves ``page``."""
    return await kit.run(sandbox_id, *httpd(page, str(port)))


async def fetched(kit: Kit, container_id: str, url: str) -> str:
    """What wget in a container gets, once the server is up."""

    async def look() -> str:
        answer = await kit.exec(container_id, "wget", "-q", "-O", "-", url)
        return answer.stdout.decode() if answer.exit_code == 0 else ""

    return await eventually(look, f"{url} answers")


async def test_containers_of_one_sandbox_share_its_loopback(kit: Kit) -> None:
    """Sandbox: namespace options: pod for network."""
    sandbox_id = await kit.sandbox()
    await serve(kit, sandbox_id, "here", port=8080)
    client = await kit.run(sandbox_id)
    assert await fetched(kit, client, "http://127.0.0.1:8080/") == "here\n"


async def test_sandboxes_reach_each_other_by_address(kit: Kit) -> None:
    """Sandbox: IP: the status tells where others find it."""
    server, client = await kit.sandbox(), await kit.run(await kit.sandbox())
    await serve(kit, server, "there")
    address = (await kit.sandbox_status(server)).network.ip
    assert await fetched(kit, client, f"http://{address}/") == "there\n"


async def test_two_sandboxes_can_use_one_port(kit: Kit) -> None:
    """Sandbox: namespace options: each pod has a network of its own."""
    for page in ("one", "two"):
        sandbox_id = await kit.sandbox()
        await serve(kit, sandbox_id, page)
        assert await fetched(kit, await kit.run(sandbox_id), "http://127.0.0.1/") == f"{page}\n"


# --- named networks ---------------------------------------------------------------------------------------------


async def test_a_named_network_is_made_when_it_is_missing(kit: Kit) -> None:
    """Annotations: minicri.io/network: name of the network to join."""
    net = subnet(kit)
    wish = {NETWORK: kit.fresh("net"), NETWORK_SUBNETS: net}
    address = (await kit.sandbox_status(await kit.sandbox(annotations=wish))).network.ip
    assert ip_address(address) in ip_network(net)


async def test_sandboxes_on_a_named_network_find_each_other_by_alias(kit: Kit) -> None:
    """Annotations: minicri.io/network-aliases: extra names by which others on the named network find it."""
    wish = {NETWORK: kit.fresh("net"), NETWORK_SUBNETS: subnet(kit)}
    server = await kit.sandbox(annotations={**wish, NETWORK_ALIASES: "shop, shop.example"})
    await serve(kit, server, "found")
    client = await kit.run(await kit.sandbox(annotations=wish))
    for alias in ("shop", "shop.example"):
        assert await fetched(kit, client, f"http://{alias}/") == "found\n"


async def test_a_static_address_is_the_sandboxs_own(kit: Kit) -> None:
    """Annotations: minicri.io/ipv4: static IPv4 address on the named network."""
    net = subnet(kit)
    address = str(ip_network(net)[42])
    wish = {NETWORK: kit.fresh("net"), NETWORK_SUBNETS: net}
    server = await kit.sandbox(annotations={**wish, IPV4: address})
    assert (await kit.sandbox_status(server)).network.ip == address
    await serve(kit, server, "static")
    assert await fetched(kit, await kit.run(await kit.sandbox(annotations=wish)), f"http://{address}/") == "static\n"


async def test_a_static_address_that_is_taken_is_refused(kit: Kit) -> None:
    """gRPC: codes are specific; annotations that cannot be honoured are never dropped."""
    net = subnet(kit)
    wish = {NETWORK: kit.fresh("net"), NETWORK_SUBNETS: net, IPV4: str(ip_network(net)[42])}
    await kit.sandbox(annotations=wish)
    with pytest.raises((FailedPrecondition, AlreadyExists)):
        await kit.sandbox(annotations=wish)


async def test_a_network_can_have_both_families(kit: Kit) -> None:
    """Annotations: minicri.io/ipv6; Sandbox: the first IP and additional ones."""
    net = subnet(kit)
    six = f"fd00:{os.getpid() % 0xFFFF:x}:{ip_network(net)[0].packed[2]:x}::/64"
    wish = {NETWORK: kit.fresh("net"), NETWORK_SUBNETS: f"{net}, {six}", IPV6: str(ip_network(six)[0x42])}
    network = (await kit.sandbox_status(await kit.sandbox(annotations=wish))).network
    assert ip_address(network.ip) in ip_network(net)
    assert [each.ip for each in network.additional_ips] == [str(ip_network(six)[0x42])]


async def test_a_name_is_unknown_on_another_network(kit: Kit) -> None:
    """Annotations: networks are apart."""
    server_wish = {NETWORK: kit.fresh("net"), NETWORK_SUBNETS: subnet(kit), NETWORK_ALIASES: "hidden"}
    await kit.sandbox(annotations=server_wish)
    other = {NETWORK: kit.fresh("net"), NETWORK_SUBNETS: subnet(kit)}
    # So that the question is not asked beyond this host, and only once.
    nobody = v1.DNSConfig(servers=["127.0.0.1"], options=["timeout:1", "attempts:1"])
    client = await kit.run(await kit.sandbox(annotations=other, dns_config=nobody))
    answer = await kit.exec(client, "wget", "-q", "-O", "-", "http://hidden/")
    assert answer.exit_code != 0


@pytest.mark.needs("kernel")
async def test_the_hardware_address_is_the_one_asked_for(kit: Kit) -> None:
    """Annotations: minicri.io/mac-address."""
    sandbox_id = await kit.sandbox(annotations={MAC_ADDRESS: "02:42:AC:11:00:99"})
    assert await kit.output(sandbox_id, "cat", "/sys/class/net/eth0/address") == "02:42:ac:11:00:99\n"


async def test_a_sandbox_without_network_has_no_address(kit: Kit) -> None:
    """Annotations: minicri.io/network: none for loopback only."""
    sandbox_id = await kit.sandbox(annotations={NETWORK: "none"})
    assert (await kit.sandbox_status(sandbox_id)).network.ip == ""
    await serve(kit, sandbox_id, "alone")
    assert await fetched(kit, await kit.run(sandbox_id), "http://127.0.0.1/") == "alone\n"


@pytest.mark.needs("kernel")
async def test_a_sandbox_without_network_has_loopback_only(kit: Kit) -> None:
    """Annotations: minicri.io/network: none for loopback only."""
    sandbox_id = await kit.sandbox(annotations={NETWORK: "none"})
    assert "eth0" not in (await kit.output(sandbox_id, "ls", "/sys/class/net")).split()


@pytest.mark.parametrize(
    "annotations",
    [
        {NETWORK: "no spaces"},
        {IPV4: "10.1.2.3"},
        {NETWORK: "n", IPV4: "10.1.2.300"},
        {NETWORK: "n", IPV6: "10.1.2.3"},
        {NETWORK: "n", NETWORK_SUBNETS: "10.1.2.3/24"},
        {NETWORK: "n", NETWORK_SUBNETS: "10.1.2.0/24", IPV4: "10.9.9.9"},
        {NETWORK_ALIASES: "db"},
        {MAC_ADDRESS: "01:00:5e:00:00:01"},
        {EXTRA_HOSTS: "db"},
        {EXTRA_HOSTS: "db=nowhere"},
    ],
    ids=lambda value: ",".join(f"{key.rpartition('/')[2]}={text}" for key, text in value.items()),
)
async def test_a_wish_that_cannot_be_understood_is_refused(kit: Kit, annotations: Mapping[str, str]) -> None:
    """Annotations: a value that cannot be honoured is INVALID_ARGUMENT, never dropped."""
    with pytest.raises(InvalidArgument, match=r"minicri\.io/"):
        await kit.sandbox(annotations=dict(annotations))


# --- names ------------------------------------------------------------------------------------------------------


async def test_the_hostname_is_set(kit: Kit) -> None:
    """Sandbox: hostname."""
    assert await kit.output(await kit.sandbox(hostname="web-0"), "hostname") == "web-0\n"


async def test_dns_is_as_given_and_nothing_else(kit: Kit) -> None:
    """Sandbox: DNS (servers, searches, options)."""
    dns = v1.DNSConfig(
        servers=["10.10.10.10", "10.10.10.11"], searches=["shop.local", "local"], options=["ndots:5", "timeout:1"]
    )
    lines = (await kit.output(await kit.sandbox(dns_config=dns), "cat", "/etc/resolv.conf")).splitlines()
    words = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    assert [line[1] for line in words if line[0] == "nameserver"] == ["10.10.10.10", "10.10.10.11"]
    assert [line[1:] for line in words if line[0] == "search"] == [["shop.local", "local"]]
    assert [line[1:] for line in words if line[0] == "options"] == [["ndots:5", "timeout:1"]]


async def test_extra_hosts_are_known_by_name(kit: Kit) -> None:
    """Annotations: minicri.io/extra-hosts: lines for /etc/hosts."""
    sandbox_id = await kit.sandbox(annotations={EXTRA_HOSTS: "db=10.1.2.3, me=127.0.0.1"})
    lines = [line.split() for line in (await kit.output(sandbox_id, "cat", "/etc/hosts")).splitlines()]
    assert ["10.1.2.3", "db"] in lines
    await serve(kit, sandbox_id, "me")
    assert await fetched(kit, await kit.run(sandbox_id), "http://me/") == "me\n"


async def test_the_host_has_an_address_that_a_sandbox_can_name(kit: Kit) -> None:
    """Annotations: minicri.io/extra-hosts: the address host-gateway is the host."""
    sandbox_id = await kit.sandbox(annotations={EXTRA_HOSTS: "outside=host-gateway"})
    lines = [line.split() for line in (await kit.output(sandbox_id, "cat", "/etc/hosts")).splitlines()]
    (address,) = [line[0] for line in lines if line[1:] == ["outside"]]
    assert ip_address(address)


# --- published ports --------------------------------------------------------------------------------------------


async def test_a_published_port_reaches_the_sandbox(kit: Kit) -> None:
    """Sandbox: host_port: what arrives there comes out at the container's port."""
    port = free_port()
    mapping = v1.PortMapping(container_port=8080, host_port=port, host_ip="127.0.0.1")
    await serve(kit, await kit.sandbox(port_mappings=[mapping]), "published", port=8080)
    assert (await page_at("127.0.0.1", port)).endswith(b"published\n")


async def test_a_port_that_is_published_without_address_is_on_all(kit: Kit) -> None:
    """Sandbox: host_ip is optional."""
    port = free_port()
    await serve(kit, await kit.sandbox(port_mappings=[v1.PortMapping(container_port=80, host_port=port)]), "all")
    assert (await page_at("127.0.0.1", port)).endswith(b"all\n")


async def test_a_host_port_that_is_taken_is_refused_and_free_again_after_the_stop(kit: Kit) -> None:
    """Sandbox: host_port; gRPC: codes are specific."""
    mapping = v1.PortMapping(container_port=80, host_port=free_port(), host_ip="127.0.0.1")
    first = await kit.sandbox(port_mappings=[mapping])
    with pytest.raises(CRIError, match=str(mapping.host_port)) as raised:
        await kit.sandbox(port_mappings=[mapping])
    assert isinstance(raised.value, AlreadyExists | FailedPrecondition)
    await kit.stop_sandbox(first)
    assert await kit.sandbox(port_mappings=[mapping])


@pytest.mark.parametrize(
    "mapping",
    [
        v1.PortMapping(container_port=0, host_port=1),
        v1.PortMapping(container_port=70000, host_port=1),
        v1.PortMapping(container_port=80, host_port=-1),
        v1.PortMapping(container_port=80, host_port=1, host_ip="nowhere"),
    ],
    ids=["no-port", "too-large", "negative", "no-address"],
)
async def test_a_port_that_is_none_is_refused(kit: Kit, mapping: v1.PortMapping) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgument, match="port_mappings"):
        await kit.sandbox(port_mappings=[mapping])


# --- the host's network -----------------------------------------------------------------------------------------


async def test_a_sandbox_on_the_hosts_network_serves_on_the_hosts_ports(kit: Kit) -> None:
    """Sandbox: namespace options: node for network."""
    port = free_port()
    sandbox_id = await kit.sandbox(linux=HOST_NETWORK)
    await kit.run(sandbox_id, *httpd("host", f"127.0.0.1:{port}"), linux=MEMBER_OF_HOST)
    assert (await page_at("127.0.0.1", port)).endswith(b"host\n")


async def test_a_sandbox_on_the_hosts_network_says_so(kit: Kit) -> None:
    """Sandbox: namespace options: node for network."""
    status = await kit.sandbox_status(await kit.sandbox(linux=HOST_NETWORK))
    assert status.linux.namespaces.options.network == v1.NODE


async def test_the_hosts_network_cannot_be_a_named_one_too(kit: Kit) -> None:
    """Annotations: a value that cannot be honoured is INVALID_ARGUMENT, never dropped."""
    with pytest.raises(InvalidArgument, match=r"minicri\.io/network"):
        await kit.sandbox(linux=HOST_NETWORK, annotations={NETWORK: kit.fresh("net")})
