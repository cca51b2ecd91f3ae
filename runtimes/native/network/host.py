"""The host's side of the networks: bridges, links of sandboxes, published ports. Blocking; for threads.

What there has to be is what the database says. Bridge and rules are made when something is to be connected and they are
not there, whoever took them away, and for as long as anything is on a network they stay.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_interface
from pathlib import Path

from cri.errors import Aborted, AlreadyExists, FailedPrecondition
from runtimes.native.database import Database
from runtimes.native.network import conntrack, leases, links, nftables, ports, rules, subnets
from runtimes.native.network.leases import NetworkRow
from runtimes.native.network.links import Link
from runtimes.native.network.names import EngineNames, mac_for
from runtimes.native.network.netlink import Netlink
from runtimes.native.network.nftables import Nftables, Refused
from runtimes.native.network.rules import Published

_ATTEMPTS = 5
_SYSCTLS = Path("/proc/sys/net")

_log = logging.getLogger(__name__)


class HostNetwork:
    """Thread-safe. To be closed."""

    def __init__(self, names: EngineNames, database: Database) -> None:
        self._names = names
        self._database = database
        self._nftables = Nftables()

    def close(self) -> None:
        self._nftables.close()

    def connect(self, netlink: Netlink, network: NetworkRow, link: str, *, mac: str, mtu: int, namespace: int) -> None:
        """A link between the network's bridge and the namespace that ``namespace`` is a descriptor of, where its end
        is called eth0 and is down yet. Raises OSError, CRIError."""
        request = functools.partial(
            links.veth, link, group=self._names.group, mtu=mtu,
            peer=links.INSIDE, peer_mac=mac, namespace=namespace,
        )  # fmt: skip
        for _ in range(_ATTEMPTS):
            with _turn(shared=True):
                if (bridge := self._ready_bridge(netlink, network)) is not None:
                    netlink.run(request(master=bridge))
                    return
            with _turn():
                # The rules first: nothing shall be on a bridge that they do not know.
                self._write_table()
                self._make_bridge(netlink, network)
                self._warn_of_firewall(network)
        raise Aborted(f"the bridge {network.bridge} was removed whenever it was made; try again")

    def publish(self, netlink: Netlink, link: str, published: Sequence[Published]) -> None:
        """Raises AlreadyExists for a port that a program of the host has."""
        ports.check_free(published)
        self._check_other_engines(published)
        if _filters_bridged() and (found := netlink.get(links.get(link))) is not None:
            netlink.run(links.hairpin(links.link(found).index))
        self._change(rules.publish(self._names.table, published))
        conntrack.forget(published)

    def unpublish(self, published: Sequence[Published]) -> None:
        """Those that are not published are no failure."""
        table = self._names.table
        with nftables.open_netfilter() as netfilter:
            if not nftables.has_table(netfilter, table):
                return
        self._change([*rules.publish(table, published), *rules.unpublish(table, published)])
        conntrack.forget(published)

    def restore(self) -> None:
        """Make rules and bridges what the database says: after a crash, or when somebody changed them."""
        with _turn(), Netlink() as netlink:
            with self._database.read() as connection:
                networks = leases.networks(connection)
            if networks:
                self._write_table()
            else:
                self._remove_table()
            kept = {network.bridge for network in networks}
            for body in netlink.dump(links.every()):
                found = links.link(body)
                if self._is_bridge_of_ours(found) and found.name not in kept:
                    _remove_link(netlink, found.name)
            for network in networks:
                self._make_bridge(netlink, network)

    def drop_links(self, names: Collection[str]) -> None:
        """Remove links of sandboxes, all in the time that it takes for one. Those that are gone are no failure."""
        with Netlink() as netlink:
            for error in netlink.attempt(*(links.move(name, links.LEAVING) for name in names)):
                if error.errno != errno.ENODEV:
                    raise error
            for error in netlink.attempt(links.delete_group(links.LEAVING)):
                if error.errno != errno.ENODEV:
                    raise error

    def sandbox_links(self) -> list[str]:
        """The links of sandboxes of this engine, as far as there are any."""
        with Netlink() as netlink:
            found = [links.link(body) for body in netlink.dump(links.every())]
        groups = (self._names.group, links.LEAVING)
        return [each.name for each in found if each.group in groups and self._names.is_link(each.name)]

    def remove_unused(self, names: Collection[str]) -> list[str]:
        """Remove the networks of these names that nothing is on, bridges included, and the rules with the last one.
        Returns those that are gone."""
        with _turn(), Netlink() as netlink:
            with self._database.read() as connection:
                unused = [each for each in leases.networks(connection) if each.name in names]
                unused = [each for each in unused if not leases.attachments(connection, each.name)]
            # The bridge first: who finds one without a row would take it for that of the next network of its name,
            # which has other addresses. Who is given the network meanwhile waits for us, and makes the bridge anew.
            for network in unused:
                body = netlink.get(links.get(network.bridge))
                if body is not None and self._is_bridge_of_ours(links.link(body)):
                    _remove_link(netlink, network.bridge)
            with self._database.write() as connection:
                gone = [each for each in unused if leases.remove_network(connection, each.name)]
                left = leases.networks(connection)
            if gone and left:
                self._write_table()
            elif gone:
                self._remove_table()
        return [network.name for network in gone]

    def _ready_bridge(self, netlink: Netlink, network: NetworkRow) -> int | None:
        """The index of the network's bridge; None unless it is complete, and the rules are in place."""
        with nftables.open_netfilter() as netfilter:
            if not nftables.has_table(netfilter, self._names.table):
                return None
        found = self._bridge(netlink, network)
        return found.index if found is not None and found.alias else None

    def _bridge(self, netlink: Netlink, network: NetworkRow) -> Link | None:
        """Raises FailedPrecondition for one of somebody else."""
        body = netlink.get(links.get(network.bridge))
        if body is None:
            return None
        found = links.link(body)
        if not self._is_bridge_of_ours(found):
            raise FailedPrecondition(
                f"the interface {network.bridge} is there already and is not of this engine (it says "
                f"{found.alias!r} of itself): set runtimes.native.network.bridge to another name"
            )
        return found

    def _is_bridge_of_ours(self, found: Link) -> bool:
        return found.group == self._names.group and not self._names.is_link(found.name)

    def _make_bridge(self, netlink: Netlink, network: NetworkRow) -> None:
        """It belongs to us from its first moment on, and says whose it is once it is complete."""
        found = self._bridge(netlink, network)
        if found is not None and found.alias:
            return
        if found is not None:
            _remove_link(netlink, found.name)
        subnets.check_unused(network.subnets)
        netlink.run(links.bridge(network.bridge, mac_for(network.gateways[0]), self._names.group))
        try:
            index = links.link(netlink.get(links.get(network.bridge)) or b"").index
            versions = {subnet.version for subnet in network.subnets}
            _set(f"ipv4/conf/{network.bridge}/route_localnet", "1")
            _set(f"ipv6/conf/{network.bridge}/accept_ra", "0", optional=True)
            if 6 not in versions:
                _set(f"ipv6/conf/{network.bridge}/disable_ipv6", "1", optional=True)
            _forward(versions)
            netlink.run(
                *(
                    links.address(index, ip_interface(f"{gateway}/{subnet.prefixlen}"))
                    for gateway, subnet in zip(network.gateways, network.subnets, strict=True)
                ),
                links.up(network.bridge),
                links.alias(network.bridge, self._names.owner),
            )
        except BaseException:
            _remove_link(netlink, network.bridge)
            raise

    def _check_other_engines(self, published: Sequence[Published]) -> None:
        """Raises AlreadyExists. Where two rules wait for one port, which of them gets it is chance."""
        with nftables.open_netfilter() as netfilter:
            others = [name for name in nftables.tables(netfilter) if self._names.is_other_table(name)]
        for name in others:
            try:
                taken = rules.published_in(self._nftables.ask(f"list table inet {name}"))
            except Refused:
                continue  # gone meanwhile
            for each in published:
                if any(ports.collide(each, other) for other in taken):
                    raise AlreadyExists(
                        f"port {each.port}/{each.protocol} of the host is published already, by another engine "
                        f"(nftables table {name})"
                    )

    def _warn_of_firewall(self, network: NetworkRow) -> None:
        """What another table drops is dropped, and its rules are not ours to change."""
        for chain in rules.closed_chains(self._nftables.ask("list chains"), self._names.table):
            _log.warning(
                "the firewall chain %s drops what it does not know: have it accept packets from and to %s, "
                "or sandboxes reach nothing beyond the host and are not reached from there",
                chain,
                network.bridge,
            )

    def _change(self, commands: Sequence[str]) -> None:
        """One transaction. What the kernel has and what the database says may have come apart: then all is written."""
        if not commands:
            return
        with _turn():
            try:
                self._nftables.run("".join(commands))
            except Refused:
                self._write_table()

    def _write_table(self) -> None:
        with self._database.read() as connection:
            networks = [network.bridged for network in leases.networks(connection)]
            published = leases.published(connection)
        self._nftables.run(rules.table(self._names.table, networks, published))

    def _remove_table(self) -> None:
        with nftables.open_netfilter() as netfilter:
            if nftables.has_table(netfilter, self._names.table):
                self._nftables.run(rules.remove(self._names.table))


@contextmanager
def _turn(*, shared: bool = False) -> Iterator[None]:
    """One at a time in this network namespace, of all engines and processes: its own file is what they lock.

    ``shared``: any number, and nobody changes bridges or rules meanwhile.
    """
    opened = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _remove_link(netlink: Netlink, name: str) -> None:
    for error in netlink.attempt(links.delete(name)):
        if error.errno != errno.ENODEV:
            raise error


def _filters_bridged() -> bool:
    """Whether frames between ports of a bridge go through the host's packet filter (br_netfilter)."""
    try:
        return (_SYSCTLS / "bridge/bridge-nf-call-iptables").read_text().strip() == "1"
    except FileNotFoundError:
        return False


def _forward(versions: Collection[int]) -> None:
    """Have the host route packets. It stays so: something else may have come to count on it since."""
    for version, name in ((4, "ipv4/ip_forward"), (6, "ipv6/conf/all/forwarding")):
        if version in versions and (_SYSCTLS / name).read_text().strip() == "0":
            _set(name, "1")
            _log.warning("set net.%s = 1: sandboxes reach nothing beyond the host without", name.replace("/", "."))


def _set(name: str, value: str, *, optional: bool = False) -> None:
    try:
        (_SYSCTLS / name).write_text(value)
    except FileNotFoundError:
        if not optional:
            raise
