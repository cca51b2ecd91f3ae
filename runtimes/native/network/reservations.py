"""What a sandbox is given before anything is made for it: its network, addresses and ports, in one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from cri.annotations import IPV4, IPV6, NETWORK_SUBNETS
from cri.errors import FailedPrecondition, InvalidArgument
from runtimes.native.config import NetworkSettings
from runtimes.native.database import Database
from runtimes.native.network import leases, plan, slirp, subnets
from runtimes.native.network.leases import LEAVING, Address, AddressTaken, NetworkRow
from runtimes.native.network.names import EngineNames
from runtimes.native.network.plan import Plan
from runtimes.native.network.rules import Published


@dataclass(frozen=True, slots=True)
class Reservation:
    """What the database holds for a sandbox that is being attached. ``link`` is the host's end of its link."""

    link: str
    network: NetworkRow
    addresses: tuple[Address, ...]
    published: tuple[Published, ...]

    @property
    def interfaces(self) -> list[IPv4Interface | IPv6Interface]:
        """The addresses with their subnets."""
        subnets_of = zip(self.addresses, self.network.subnets, strict=True)
        return [ip_interface(f"{address}/{subnet.prefixlen}") for address, subnet in subnets_of]


class StillLeaving(FailedPrecondition):
    """What is asked for is held by ``sandbox_ids``, whose links are on their way out."""

    reason = "STILL_LEAVING"

    def __init__(self, message: str, *sandbox_ids: str) -> None:
        super().__init__(message)
        self.sandbox_ids = sandbox_ids


class Reservations:
    """Of one engine."""

    def __init__(self, settings: NetworkSettings, names: EngineNames, database: Database) -> None:
        self._settings = settings
        self._names = names
        self._database = database

    def make(self, sandbox_id: str, wanted: Plan) -> Reservation:
        """All of it or nothing. Raises StillLeaving, AlreadyExists for an address or a port that another sandbox has,
        InvalidArgument, FailedPrecondition, ResourceExhausted."""
        link = self._names.link(sandbox_id)
        with self._database.write() as connection:
            network = self._network(connection, wanted)
            leases.begin(connection, sandbox_id, network.name, link)
            try:
                addresses = leases.lease(connection, network, sandbox_id, wanted.static)
            except AddressTaken as error:
                if error.leaving:
                    raise StillLeaving(error.message, error.holder) from error
                raise
            published = plan.published(wanted.ports, addresses)
            if slirp.is_there():
                published = slirp.inside(published)
            leases.publish(connection, sandbox_id, published)
        return Reservation(link, network, addresses, tuple(published))

    def _network(self, connection: sqlite3.Connection, wanted: Plan) -> NetworkRow:
        """The network of the plan, noted down now if it is not there."""
        found = leases.network(connection, wanted.network)
        if found is None:
            there = [subnet for each in leases.networks(connection) for subnet in each.subnets]
            if wanted.request.is_named:
                given = subnets.of_named(wanted.request, self._settings, there)
                found = _row(wanted.network, self._names.bridge(wanted.network), given)
            else:
                given = subnets.of_default(self._settings, there)
                found = _row(wanted.network, self._settings.bridge, given)
            leases.add_network(connection, found)
        else:
            _check_subnets(connection, wanted, found)
        for annotation, address in ((IPV4, wanted.request.ipv4), (IPV6, wanted.request.ipv6)):
            if address is not None and not any(address in subnet for subnet in found.subnets):
                raise InvalidArgument(
                    f"{annotation}: {address} is outside of network {wanted.network!r}, which has "
                    f"{', '.join(map(str, found.subnets))}"
                )
        return found


def _row(name: str, bridge: str, given: tuple[leases.Subnet, ...]) -> NetworkRow:
    return NetworkRow(name, bridge, given, tuple(leases.gateway_of(subnet) for subnet in given))


def _check_subnets(connection: sqlite3.Connection, wanted: Plan, found: NetworkRow) -> None:
    missing = [subnet for subnet in wanted.request.subnets if subnet not in found.subnets]
    if not missing:
        return
    message = (
        f"{NETWORK_SUBNETS}: network {found.name!r} is there already and has "
        f"{', '.join(map(str, found.subnets))}, not {', '.join(map(str, missing))}"
    )
    on_it = leases.attachments(connection, found.name)
    if all(row.phase == LEAVING for row in on_it):
        raise StillLeaving(message, *(row.sandbox_id for row in on_it))
    raise InvalidArgument(message)
