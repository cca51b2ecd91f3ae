"""Names on named networks."""

from __future__ import annotations

import os
import select
import signal
import socket
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from cri.annotations import NETWORK, NETWORK_ALIASES, NETWORK_SUBNETS
from cri.errors import FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.network import dns_query, name_server, namespaces
from runtimes.native.network.name_server import NameServer
from tests.conformance.kit import eventually
from tests.host.fixtures import give_up
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine, Sandbox

SHOP = {NETWORK: "shop", NETWORK_SUBNETS: "10.77.0.0/24"}
DATABASE = {**SHOP, NETWORK_ALIASES: "db, db.example"}


@pytest.fixture(autouse=True)
def has_program(request: pytest.FixtureRequest) -> None:
    if not NameServer.is_available():
        give_up(request, "this test needs aardvark-dns: install aardvark-dns", "native")


async def lookup(asking: Sandbox, name: str, version: int = 4) -> list[str]:
    """What a sandbox hears from the server that its resolv.conf names. Asks again only when it hears nothing."""
    assert asking.attachment.dns is not None
    server = ip_address(asking.attachment.dns[0])
    question = partial(dns_query.ask, server, name, version=version, patience=1.0)
    return [str(each) for each in await namespaces.within(asking.netns, question)]


def server_pid(engine: Engine) -> int:
    return int((engine.places.names / "aardvark.pid").read_text())


async def known(asking: Sandbox, name: str, version: int = 4) -> list[str]:
    """The answer once there is one: the server reads its files anew a moment after it is told to."""
    return await eventually(lambda: lookup(asking, name, version), "the name is known")


async def test_a_sandbox_is_found_by_each_of_its_aliases(engine: Engine) -> None:
    database, client = await engine.sandbox(annotations=DATABASE), await engine.sandbox(annotations=SHOP)
    for name in ("db", "db.example"):
        assert await known(client, name) == [database.ip]


async def test_a_sandbox_is_found_by_its_hostname(engine: Engine) -> None:
    database, client = await engine.sandbox(annotations=SHOP, hostname="db-0"), await engine.sandbox(annotations=SHOP)
    assert await known(client, "db-0") == [database.ip]


async def test_who_shares_an_alias_is_found_together(engine: Engine) -> None:
    both = [await engine.sandbox(annotations=DATABASE) for _ in range(2)]
    assert sorted(await lookup(both[0], "db")) == sorted(each.ip for each in both)


async def test_ipv6_addresses_have_names_too(engine: Engine) -> None:
    wish = {**DATABASE, NETWORK_SUBNETS: "10.77.0.0/24, fd00:77::/64"}
    database = await engine.sandbox(annotations=wish)
    assert await known(database, "db", version=6) == list(database.attachment.additional_ips)


async def test_a_name_is_unknown_on_another_network(engine: Engine) -> None:
    await engine.sandbox(annotations=DATABASE)
    assert await lookup(await engine.sandbox(annotations={NETWORK: "other"}), "db") == []


async def test_a_name_goes_with_its_sandbox(engine: Engine) -> None:
    database, client = await engine.sandbox(annotations=DATABASE), await engine.sandbox(annotations=SHOP)
    await engine.detach(database)
    # Whoever comes next is known only once the server has read its files anew.
    await engine.sandbox(annotations=SHOP)
    assert await lookup(client, "db") == []


async def test_the_server_ends_with_the_last_network(engine: Engine) -> None:
    sandbox = await engine.sandbox(annotations=DATABASE)
    ended = os.pidfd_open(server_pid(engine))
    await engine.detach(sandbox)
    await engine.networks.settle()
    assert _has_ended(ended)


async def test_a_server_that_died_is_started_again(engine: Engine) -> None:
    database = await engine.sandbox(annotations=DATABASE)
    dead = os.pidfd_open(server_pid(engine))
    os.kill(server_pid(engine), signal.SIGKILL)
    assert _has_ended(dead)
    client = await engine.sandbox(annotations=SHOP)
    assert await known(client, "db") == [database.ip]


async def test_recovery_starts_a_server_that_died(engine: Engine) -> None:
    database = await engine.sandbox(annotations=DATABASE)
    dead = os.pidfd_open(server_pid(engine))
    os.kill(server_pid(engine), signal.SIGKILL)
    assert _has_ended(dead)
    await engine.networks.recover(lambda: {database.id})
    os.close(os.pidfd_open(server_pid(engine)))


async def test_other_names_are_asked_for_where_the_config_says(engine: Engine, outside: Path) -> None:
    dns = v1.DNSConfig(servers=[host.OUTSIDE])
    client = await engine.sandbox(annotations=SHOP, dns_config=dns)
    with host.server(outside, dns_query.PORT, socket.SOCK_DGRAM) as elsewhere:
        assert client.attachment.dns is not None
        with host.reach(client.netns, client.attachment.dns[0], dns_query.PORT, socket.SOCK_DGRAM) as asking:
            asking.send(dns_query._HEADER.pack(7, 0x100, 1, 0, 0, 0) + dns_query._question("www.example.org", 4))
            question, _ = elsewhere.recvfrom(512)
    assert b"\3www\7example\3org" in question


async def test_a_host_that_serves_names_itself_is_told_why_it_cannot_be(engine: Engine) -> None:
    with host.server(None, 53, socket.SOCK_DGRAM), pytest.raises(FailedPrecondition, match="port 53/udp"):
        await engine.sandbox(annotations=DATABASE)
    await engine.networks.settle()
    assert host.interfaces() == {"lo"}


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_server, "_find_program", lambda: None)


@pytest.mark.usefixtures("no_program")
async def test_without_the_program_aliases_are_refused(engine: Engine) -> None:
    with pytest.raises(Unimplemented, match="aardvark-dns"):
        await engine.sandbox(annotations=DATABASE)


@pytest.mark.usefixtures("no_program")
async def test_without_the_program_a_network_has_addresses_only(engine: Engine) -> None:
    assert (await engine.sandbox(annotations=SHOP)).attachment.dns is None


def _has_ended(process: int) -> bool:
    """Within a minute."""
    try:
        return bool(select.select([process], [], [], host.PATIENCE)[0])
    finally:
        os.close(process)
