"""Which addresses a network has: those of the configuration, those asked for, or free ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import islice
from pathlib import Path

from cri.annotations import NETWORK_SUBNETS
from cri.errors import FailedPrecondition, InvalidArgument
from cri.networks import NetworkRequest
from runtimes.native.config import NetworkSettings
from runtimes.native.network.leases import Subnet

_SMALLEST = {4: 30, 6: 126}
"""A bridge and one sandbox need two addresses."""

_ROUTES = Path("/proc/thread-self/net/route")
_ROUTES6 = Path("/proc/thread-self/net/ipv6_route")
_TRIED = 4096


def of_default(settings: NetworkSettings, taken: Collection[Subnet]) -> tuple[Subnet, ...]:
    """As configured. Raises FailedPrecondition for one that is ``taken``."""
    found = tuple(ip_network(text) for text in (settings.subnet, settings.subnet6) if text)
    for subnet in found:
        _check_free(subnet, taken, "runtimes.native.network")
    return found


def of_named(request: NetworkRequest, settings: NetworkSettings, taken: Collection[Subnet]) -> tuple[Subnet, ...]:
    """The subnets that are asked for, one for each version at most; else a free IPv4 one of the
    configured pool. ``taken`` are in use by others of ours.

    Raises InvalidArgument for what cannot be, FailedPrecondition when there is none left.
    """
    asked: dict[int, Subnet] = {}
    for subnet in request.subnets:
        if subnet.version in asked:
            raise InvalidArgument(f"{NETWORK_SUBNETS}: one IPv{subnet.version} subnet is possible, not two")
        if subnet.prefixlen > _SMALLEST[subnet.version]:
            raise InvalidArgument(f"{NETWORK_SUBNETS}: {subnet} has no room for a bridge and a sandbox")
        _check_free(subnet, taken, NETWORK_SUBNETS)
        asked[subnet.version] = subnet
    if not asked:
        asked[4] = _free(ip_network(settings.pool), settings.pool_prefix, [*taken, *_routed()])
    return tuple(asked[version] for version in sorted(asked))


def check_unused(given: Collection[Subnet]) -> None:
    """Raises FailedPrecondition where the host is connected already: either of them would lose its packets. A wider
    route (all of 10.0.0.0/8 by a tunnel) does no harm."""
    routed = _routed()
    for subnet in given:
        for other in routed:
            if _overlap(subnet, other) and other.prefixlen >= subnet.prefixlen:
                raise FailedPrecondition(f"the host has a route to {other}: {subnet} cannot be a network of sandboxes")


def _free(pool: Subnet, prefix: int, taken: Collection[Subnet]) -> Subnet:
    candidates: Iterator[Subnet] = pool.subnets(new_prefix=max(prefix, pool.prefixlen))
    for candidate in islice(candidates, _TRIED):
        if not any(_overlap(candidate, other) for other in taken):
            return candidate
    raise FailedPrecondition(
        f"no subnet is left in runtimes.native.network.pool ({pool}): name one in {NETWORK_SUBNETS}"
    )


def _check_free(subnet: Subnet, taken: Collection[Subnet], where: str) -> None:
    for other in taken:
        if _overlap(subnet, other):
            raise FailedPrecondition(f"{where}: {subnet} overlaps with {other}, which another network has")


def _overlap(one: Subnet, other: Subnet) -> bool:
    return one.version == other.version and one.overlaps(other)


def _routed() -> list[Subnet]:
    """Where the host has routes to, other than its default route."""
    found: list[Subnet] = []
    for line in _lines(_ROUTES)[1:]:
        fields = line.split()
        destination, mask = (ip_address(int.from_bytes(bytes.fromhex(fields[at])[::-1], "big")) for at in (1, 7))
        if int(mask):
            found.append(IPv4Network(f"{destination}/{mask}", strict=False))
    for line in _lines(_ROUTES6):
        fields = line.split()
        if length := int(fields[1], 16):
            found.append(IPv6Network((bytes.fromhex(fields[0]), length), strict=False))
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
