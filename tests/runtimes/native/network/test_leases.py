"""Who has which address and port: the database, without a kernel."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cri.errors import AlreadyExists, ResourceExhausted
from runtimes.native.database import Database
from runtimes.native.network import leases
from runtimes.native.network.leases import AddressTaken, NetworkRow
from runtimes.native.network.rules import Published


def network(*subnets: str, name: str = "") -> NetworkRow:
    given_subnets = tuple(ip_network(each) for each in subnets)
    return NetworkRow(name, f"br-{name}", given_subnets, tuple(leases.gateway_of(each) for each in given_subnets))


SMALL = network("10.0.0.0/29")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "state.db", [leases.SCHEMA])
    with made.write() as connection:
        leases.add_network(connection, SMALL)
    return made


def attach(database: Database, sandbox_id: str, *wanted: str, on: NetworkRow = SMALL) -> list[str]:
    with database.write() as connection:
        leases.begin(connection, sandbox_id, on.name, f"link-{sandbox_id}")
        leased = leases.lease(connection, on, sandbox_id, [ip_address(each) for each in wanted])
    return [str(each) for each in leased]


def forget(database: Database, *sandbox_ids: str) -> None:
    with database.write() as connection:
        leases.forget(connection, sandbox_ids)


def test_addresses_are_given_in_order_behind_the_bridges_own(database: Database) -> None:
    assert [attach(database, name) for name in "abc"] == [["10.0.0.2"], ["10.0.0.3"], ["10.0.0.4"]]


def test_the_network_and_broadcast_addresses_are_given_to_nobody(database: Database) -> None:
    assert [attach(database, name) for name in "abcde"][-1] == ["10.0.0.6"]
    with pytest.raises(ResourceExhausted):
        attach(database, "f")


def test_an_address_that_was_given_back_is_found_after_the_last_one(database: Database) -> None:
    for name in "abcde":
        attach(database, name)
    forget(database, "b", "c")
    assert [attach(database, name) for name in "fg"] == [["10.0.0.3"], ["10.0.0.4"]]


def test_a_refused_sandbox_has_nothing(database: Database) -> None:
    attach(database, "a", "10.0.0.5")
    with pytest.raises(AddressTaken):
        attach(database, "b", "10.0.0.5")
    with database.read() as connection:
        assert leases.attachment(connection, "b") is None


def test_an_address_that_is_taken_says_by_whom_and_whether_it_leaves(database: Database) -> None:
    attach(database, "a", "10.0.0.5")
    with database.write() as connection:
        leases.leave(connection, "a")
    with pytest.raises(AddressTaken) as raised:
        attach(database, "b", "10.0.0.5")
    assert (raised.value.holder, raised.value.leaving) == ("a", True)


def test_one_address_in_each_subnet(database: Database) -> None:
    both = network("10.1.0.0/24", "fd00::/64", name="both")
    with database.write() as connection:
        leases.add_network(connection, both)
    assert attach(database, "a", "fd00::42", on=both) == ["10.1.0.2", "fd00::42"]


def test_a_large_subnet_is_not_gone_through(database: Database) -> None:
    wide = network("fd00::/48", name="wide")
    with database.write() as connection:
        leases.add_network(connection, wide)
    assert attach(database, "a", on=wide) == ["fd00::2"]


def test_a_network_is_removed_only_without_sandboxes(database: Database) -> None:
    attach(database, "a")
    with database.write() as connection:
        assert not leases.remove_network(connection, "")
    forget(database, "a")
    with database.write() as connection:
        assert leases.remove_network(connection, "")
        assert not leases.remove_network(connection, "")


def test_a_sandbox_is_attached_once(database: Database) -> None:
    attach(database, "a")
    with pytest.raises(AlreadyExists):
        attach(database, "a")


def test_a_leaving_sandbox_has_no_ports_but_its_addresses(database: Database) -> None:
    attach(database, "a")
    published = Published("tcp", ip_address("0.0.0.0"), 80, ip_address("10.0.0.2"), 8080)
    with database.write() as connection:
        leases.publish(connection, "a", [published])
        assert leases.published(connection, "a") == [published]
        leases.leave(connection, "a")
        assert leases.published(connection) == []
        assert leases.leased(connection, "a") == (ip_address("10.0.0.2"),)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "10.0.0.3", "10.0.0.6"])), max_size=30))
def test_no_address_is_ever_given_twice(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]) -> None:
    database = Database(tmp_path_factory.mktemp("state") / "state.db", [leases.SCHEMA])
    with database.write() as connection:
        leases.add_network(connection, SMALL)
    held: dict[str, str] = {}
    for name, wanted in steps:
        if name in held:
            forget(database, name)
            del held[name]
            continue
        try:
            (address,) = attach(database, name, *filter(None, [wanted]))
        except AddressTaken:
            assert wanted in held.values()
        except ResourceExhausted:
            assert len(held) == 5
        else:
            assert address not in held.values()
            held[name] = address
    database.close()
