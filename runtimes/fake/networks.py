"""The simulated network: which sandbox has which address, and who reaches whom.

Rules as in the engines: sandboxes on one network reach each other by address, on a named network by alias and
hostname as well; a named network is created on request and goes with its last member.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from cri.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from cri.networks import HOST_GATEWAY, NO_NETWORK, NetworkRequest
from runtimes.fake.pipes import Connection, connection
from runtimes.fake.ports import Listeners
from runtimes.fake.process import Accept

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network
_LOCAL = frozenset(["localhost", "127.0.0.1", "::1"])


@dataclass(eq=False)
class Segment:
    """One network. ``taken`` maps each address in use to its endpoint; the first host of a subnet is the gateway."""

    name: str
    subnets: tuple[Subnet, ...]
    taken: dict[Address, Endpoint] = field(default_factory=dict)
    members: list[Endpoint] = field(default_factory=list)
    _next: dict[Subnet, int] = field(default_factory=dict)

    def gateway(self, version: int = 4) -> str:
        return next((str(subnet[1]) for subnet in self.subnets if subnet.version == version), "")

    def free_address(self, subnet: Subnet) -> Address:
        """The next address round the subnet that nobody has. Raises ResourceExhausted."""
        usable = subnet.num_addresses - 3  # without network, gateway and broadcast address
        for _ in range(min(usable, len(self.taken) + 1)):
            offset = self._next.get(subnet, 0)
            self._next[subnet] = (offset + 1) % usable
            address = subnet[offset + 2]
            if address not in self.taken:
                return address
        raise ResourceExhausted(f"network {self.name!r} has no free address left in {subnet}")


class Endpoint:
    """A sandbox on its network; what its processes see of it (``process.Network``)."""

    def __init__(self, segment: Segment | None, names: tuple[str, ...], request: NetworkRequest) -> None:
        self.segment = segment
        self.names = names
        self.request = request
        self.addresses: list[Address] = []
        self.received = 0
        """Bytes that came over the network since the beginning."""
        self.sent = 0
        self._listening: dict[int, Accept] = {}

    @property
    def address(self) -> str:
        return str(self.addresses[0]) if self.addresses else ""

    def hosts_lines(self) -> list[str]:
        """``/etc/hosts`` beyond localhost."""
        lines = [f"{address}\t{' '.join(self.names)}" for address in self.addresses]
        for name, address in self.request.extra_hosts:
            gateway = self.segment.gateway() if self.segment else "127.0.0.1"
            lines.append(f"{gateway if address == HOST_GATEWAY else address}\t{name}")
        return lines

    def listen(self, port: int, accept: Accept) -> Callable[[], None]:
        if port in self._listening:
            raise _os_error(errno.EADDRINUSE)
        self._listening[port] = accept
        return lambda: self._stop(port, accept)

    def _stop(self, port: int, accept: Accept) -> None:
        if self._listening.get(port) is accept:
            del self._listening[port]

    def dial(self, host: str, port: int) -> Connection:
        extra = dict(self.request.extra_hosts)
        return self._find(extra.get(host, host)).accept(port, self)

    def accept(self, port: int, client: Endpoint | None = None) -> Connection:
        """The client's end of a connection to what listens here. Raises ConnectionRefusedError."""
        taker = self._listening.get(port)
        if taker is None:
            raise _os_error(errno.ECONNREFUSED)
        ours, theirs = connection(partial(_carried, client, self), partial(_carried, self, client))
        taker(theirs)
        return ours

    def _find(self, host: str) -> Endpoint:
        if host in _LOCAL or host in self.names or host in map(str, self.addresses):
            return self
        for member in self.segment.members if self.segment else ():
            if host in map(str, member.addresses) or (member.request.is_named and host in member.names):
                return member
        raise OSError(errno.EHOSTUNREACH, f"bad address '{host}'")


class HostEndpoint(Endpoint):
    """The host's own network: what listens here listens on the real 127.0.0.1."""

    def __init__(self, listeners: Listeners) -> None:
        super().__init__(None, (), NetworkRequest())
        self._listeners = listeners

    def listen(self, port: int, accept: Accept) -> Callable[[], None]:
        stop = super().listen(port, accept)
        try:
            listener = self._listeners.open("127.0.0.1", port, lambda: self.accept(port))
        except OSError:
            stop()
            raise

        def stop_both() -> None:
            stop()
            listener.close()

        return stop_both


class Networks:
    """Every network of one fake. ``subnets`` are the default network's; named ones get a /24 each by default."""

    def __init__(self, subnets: tuple[str, ...], named_pool: str, listeners: Listeners) -> None:
        self._default = Segment("bridge", tuple(ip_network(subnet) for subnet in subnets))
        self._named: dict[str, Segment] = {}
        self._pool = ip_network(named_pool)
        self.host = HostEndpoint(listeners)

    def names(self) -> list[str]:
        """The named networks that exist now."""
        return sorted(self._named)

    def join(self, request: NetworkRequest, hostname: str) -> Endpoint:
        """An endpoint with its addresses. Raises FailedPrecondition for an address that is taken."""
        if request.network == NO_NETWORK:
            return Endpoint(None, (hostname,), request)
        segment = self._segment(request)
        endpoint = Endpoint(segment, (hostname, *request.aliases), request)
        segment.members.append(endpoint)
        try:
            for subnet in segment.subnets:
                static = request.ipv4 if subnet.version == 4 else request.ipv6
                already = any(address.version == subnet.version for address in endpoint.addresses)
                if already or (static is not None and static not in subnet):
                    continue
                address = segment.free_address(subnet) if static is None else self._static(segment, static)
                segment.taken[address] = endpoint
                endpoint.addresses.append(address)
            for static in (request.ipv4, request.ipv6):
                if static is not None and static not in endpoint.addresses:
                    listed = ", ".join(map(str, segment.subnets))
                    raise InvalidArgument(f"static address {static} is outside of network {segment.name!r} ({listed})")
        except BaseException:
            self.leave(endpoint)
            raise
        return endpoint

    def leave(self, endpoint: Endpoint) -> None:
        """Give the addresses back. Safe to call twice, and for the host's endpoint."""
        segment = endpoint.segment
        if segment is None:
            return
        for address in endpoint.addresses:
            segment.taken.pop(address, None)
        endpoint.addresses.clear()
        if endpoint in segment.members:
            segment.members.remove(endpoint)
        if not segment.members and self._named.get(segment.name) is segment:
            del self._named[segment.name]

    @staticmethod
    def _static(segment: Segment, address: Address) -> Address:
        gateways = {segment.gateway(4), segment.gateway(6)}
        if address in segment.taken or str(address) in gateways:
            raise FailedPrecondition(
                f"address {address} on network {segment.name!r} is already in use; "
                "choose another one or remove the sandbox that has it",
                details={"address": str(address)},
            )
        return address

    def _segment(self, request: NetworkRequest) -> Segment:
        if not request.is_named or request.network == self._default.name:
            return self._default
        segment = self._named.get(request.network)
        if segment is None:
            segment = Segment(request.network, request.subnets or (self._free_subnet(request),))
            self._named[request.network] = segment
        elif request.subnets and set(request.subnets) != set(segment.subnets):
            raise FailedPrecondition(
                f"network {request.network!r} exists with the subnets {', '.join(map(str, segment.subnets))}, "
                f"not {', '.join(map(str, request.subnets))}; leave them out or take another name"
            )
        return segment

    def _free_subnet(self, request: NetworkRequest) -> Subnet:
        used = [subnet for segment in (self._default, *self._named.values()) for subnet in segment.subnets]
        for subnet in self._pool.subnets(new_prefix=24):
            if not any(subnet.version == each.version and subnet.overlaps(each) for each in used):
                return subnet
        raise ResourceExhausted(f"no subnet is left for network {request.network!r}; say which in its annotation")


def _carried(sender: Endpoint | None, receiver: Endpoint | None, size: int) -> None:
    """``size`` bytes went over the network; what stays within a sandbox does not go over it."""
    if sender is receiver:
        return
    if sender is not None:
        sender.sent += size
    if receiver is not None:
        receiver.received += size


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
