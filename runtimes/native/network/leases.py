"""What is given to whom, on disk: networks, addresses, ports of the host. Given back, never doubled: the database's own
constraints see to it, whichever process asks.

Every function works in a transaction that its caller began.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import chain
from typing import Any

from cri.errors import AlreadyExists, ResourceExhausted
from runtimes.native.network import ports
from runtimes.native.network.rules import Bridged, Published

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

SCHEMA = """
create table if not exists networks (
    name text primary key,
    bridge text not null unique
) without rowid;
create table if not exists network_subnets (
    network text not null references networks (name) on delete cascade,
    subnet text not null,
    gateway text not null,
    last text not null,
    primary key (network, subnet)
) without rowid;
create table if not exists attachments (
    sandbox_id text primary key,
    network text not null references networks (name),
    phase text not null,
    link text not null,
    facts text not null
) without rowid;
create table if not exists address_leases (
    network text not null,
    address text not null,
    sandbox_id text not null references attachments (sandbox_id) on delete cascade,
    primary key (network, address)
) without rowid;
create table if not exists published_ports (
    protocol text not null,
    host_ip text not null,
    port integer not null,
    target text not null,
    target_port integer not null,
    sandbox_id text not null references attachments (sandbox_id) on delete cascade,
    primary key (protocol, port, host_ip)
) without rowid;
create index if not exists attachments_by_network on attachments (network);
create index if not exists address_leases_by_sandbox on address_leases (sandbox_id);
create index if not exists published_ports_by_sandbox on published_ports (sandbox_id);
"""
"""The database's tables. ``last`` is the address that was given last: the next one is looked for behind it, so that an
address rests as long as possible before somebody else has it."""

MAKING, MADE, LEAVING = "making", "made", "leaving"
"""Phases of an attachment. One that leaves keeps its addresses until its link is gone, but no ports."""


class AddressTaken(AlreadyExists):
    """``holder`` is the sandbox that has the address, ``leaving`` whether it is about to give it back."""

    reason = "ADDRESS_TAKEN"
    holder: str = ""
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """``name`` is empty for the default network. A gateway is the bridge's own address in a subnet."""

    name: str
    bridge: str
    subnets: tuple[Subnet, ...]
    gateways: tuple[Address, ...]

    @property
    def bridged(self) -> Bridged:
        return Bridged(self.bridge, self.subnets)


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """``link`` is the host's end. ``facts`` are for whoever wrote them."""

    sandbox_id: str
    network: str
    phase: str
    link: str
    facts: dict[str, Any]


def network(connection: sqlite3.Connection, name: str) -> NetworkRow | None:
    found = connection.execute("select name, bridge from networks where name = ?", (name,)).fetchone()
    return _network(connection, found) if found else None


def networks(connection: sqlite3.Connection) -> list[NetworkRow]:
    return [_network(connection, row) for row in connection.execute("select name, bridge from networks order by name")]


def add_network(connection: sqlite3.Connection, added: NetworkRow) -> None:
    connection.execute("insert into networks values (?, ?)", (added.name, added.bridge))
    connection.executemany(
        "insert into network_subnets values (?, ?, ?, ?)",
        [
            (added.name, str(subnet), str(gateway), str(gateway))
            for subnet, gateway in zip(added.subnets, added.gateways, strict=True)
        ],
    )


def remove_network(connection: sqlite3.Connection, name: str) -> bool:
    """False when something is on it, or it is gone."""
    query = "delete from networks where name = ? and not exists (select 1 from attachments where network = name)"
    return connection.execute(query, (name,)).rowcount > 0


def gateway_of(subnet: Subnet) -> Address:
    """A bridge has the first address."""
    return subnet[1]


def attachment(connection: sqlite3.Connection, sandbox_id: str) -> AttachmentRow | None:
    found = connection.execute("select * from attachments where sandbox_id = ?", (sandbox_id,)).fetchone()
    return _attachment(found) if found else None


def attachments(connection: sqlite3.Connection, network: str | None = None) -> list[AttachmentRow]:
    """All of them, or those on one network."""
    query = "select * from attachments where network = coalesce(?, network) order by sandbox_id"
    return [_attachment(row) for row in connection.execute(query, (network,))]


def begin(connection: sqlite3.Connection, sandbox_id: str, network: str, link: str) -> None:
    """Note that the sandbox is being attached. Raises AlreadyExists for one that is attached."""
    try:
        connection.execute("insert into attachments values (?, ?, ?, ?, '{}')", (sandbox_id, network, MAKING, link))
    except sqlite3.IntegrityError as error:
        raise AlreadyExists(f"sandbox {sandbox_id} has a network already") from error


def finish(connection: sqlite3.Connection, sandbox_id: str, facts: dict[str, Any]) -> None:
    connection.execute(
        "update attachments set phase = ?, facts = ? where sandbox_id = ?", (MADE, json.dumps(facts), sandbox_id)
    )


def leave(connection: sqlite3.Connection, sandbox_id: str) -> None:
    """Its ports are free for others, its addresses not yet."""
    connection.execute("delete from published_ports where sandbox_id = ?", (sandbox_id,))
    connection.execute("update attachments set phase = ? where sandbox_id = ?", (LEAVING, sandbox_id))


def forget(connection: sqlite3.Connection, sandbox_ids: Iterable[str]) -> None:
    """Everything that they had is free."""
    connection.executemany("delete from attachments where sandbox_id = ?", [(each,) for each in sandbox_ids])


def lease(
    connection: sqlite3.Connection, network: NetworkRow, sandbox_id: str, wanted: Sequence[Address]
) -> tuple[Address, ...]:
    """An address in each subnet of the network: of ``wanted`` the one that is in it, else the next free one.

    Raises AddressTaken, ResourceExhausted.
    """
    leased: list[Address] = []
    for subnet, gateway in zip(network.subnets, network.gateways, strict=True):
        fixed = next((address for address in wanted if address in subnet), None)
        if fixed is None:
            leased.append(_lease_next(connection, network.name, subnet, gateway, sandbox_id))
        elif fixed == gateway or not _take(connection, network.name, fixed, sandbox_id):
            raise _taken(connection, network.name, fixed)
        else:
            leased.append(fixed)
    return tuple(leased)


def leased(connection: sqlite3.Connection, sandbox_id: str) -> tuple[Address, ...]:
    query = "select address from address_leases where sandbox_id = ?"
    return tuple(ip_address(row["address"]) for row in connection.execute(query, (sandbox_id,)))


def publish(connection: sqlite3.Connection, sandbox_id: str, published: Iterable[Published]) -> None:
    """Raises AlreadyExists, naming the port and who has it."""
    for each in published:
        query = "select * from published_ports where protocol = ? and port = ?"
        for row in connection.execute(query, (each.protocol, each.port)):
            if ports.collide(each, _published(row)):
                raise AlreadyExists(
                    f"port {each.port}/{each.protocol} of the host is published already, by sandbox {row['sandbox_id']}"
                )
        connection.execute(
            "insert into published_ports values (?, ?, ?, ?, ?, ?)",
            (each.protocol, str(each.host_ip), each.port, str(each.target), each.target_port, sandbox_id),
        )


def published(connection: sqlite3.Connection, sandbox_id: str | None = None) -> list[Published]:
    """Of one sandbox, or all of them."""
    query = "select * from published_ports where sandbox_id = coalesce(?, sandbox_id)"
    return [_published(row) for row in connection.execute(query, (sandbox_id,))]


def _lease_next(
    connection: sqlite3.Connection, network: str, subnet: Subnet, gateway: Address, sandbox_id: str
) -> Address:
    where = (network, str(subnet))
    row = connection.execute("select last from network_subnets where network = ? and subnet = ?", where).fetchone()
    first, behind = _usable(subnet)
    start = int(ip_address(row["last"])) + 1
    # A small subnet can be full. A large one has been gone through long before memory is.
    for number in chain(range(start, min(behind, start + _FAR)), range(first, min(start, first + _FAR))):
        address = type(gateway)(number)
        if address != gateway and _take(connection, network, address, sandbox_id):
            query = "update network_subnets set last = ? where network = ? and subnet = ?"
            connection.execute(query, (str(address), *where))
            return address
    raise ResourceExhausted(f"network {network or 'default'!r}: every address of {subnet} is taken")


_FAR = 1 << 17
"""Addresses to try on either side of the last one."""


def _usable(subnet: Subnet) -> tuple[int, int]:
    """The first address that can be given, and the one behind the last. IPv4 has a broadcast address."""
    first, last = int(subnet.network_address) + 1, int(subnet.broadcast_address)
    return (first, last) if subnet.version == 4 else (first, last + 1)


def _take(connection: sqlite3.Connection, network: str, address: Address, sandbox_id: str) -> bool:
    query = "insert into address_leases values (?, ?, ?) on conflict do nothing"
    return connection.execute(query, (network, str(address), sandbox_id)).rowcount > 0


def _taken(connection: sqlite3.Connection, network: str, address: Address) -> AddressTaken:
    query = "select sandbox_id, phase from address_leases natural join attachments where network = ? and address = ?"
    row = connection.execute(query, (network, str(address))).fetchone()
    holder = f"by sandbox {row['sandbox_id']}" if row else "by the bridge"
    error = AddressTaken(f"address {address} is taken on network {network!r}, {holder}")
    if row:
        error.holder, error.leaving = row["sandbox_id"], row["phase"] == LEAVING
    return error


def _network(connection: sqlite3.Connection, row: sqlite3.Row) -> NetworkRow:
    query = "select subnet, gateway from network_subnets where network = ?"
    rows = connection.execute(query, (row["name"],)).fetchall()
    rows.sort(key=lambda each: ip_network(each["subnet"]).version)
    return NetworkRow(
        row["name"],
        row["bridge"],
        tuple(ip_network(each["subnet"]) for each in rows),
        tuple(ip_address(each["gateway"]) for each in rows),
    )


def _published(row: sqlite3.Row) -> Published:
    host_ip, target = ip_address(row["host_ip"]), ip_address(row["target"])
    return Published(row["protocol"], host_ip, row["port"], target, row["target_port"])


def _attachment(row: sqlite3.Row) -> AttachmentRow:
    return AttachmentRow(row["sandbox_id"], row["network"], row["phase"], row["link"], json.loads(row["facts"]))
