"""What a sandbox asks of the network beyond CRI's own fields, read from its annotations. Pure.

Every backend reads it here, so a wrong value is the same error everywhere and is found before anything is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from cri import annotations as names
from cri.errors import InvalidArgument

HOST_GATEWAY = "host-gateway"
"""As the address of an extra host: the host itself, by whatever address it has on the sandbox's network."""

NO_NETWORK = "none"

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_HOST = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?")


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """``network`` is empty for the engine's default network and ``none`` for loopback only."""

    network: str = ""
    subnets: tuple[IPv4Network | IPv6Network, ...] = ()
    aliases: tuple[str, ...] = ()
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    mac: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()

    @property
    def is_named(self) -> bool:
        return self.network not in ("", NO_NETWORK)


def read(annotations: Mapping[str, str]) -> NetworkRequest:
    """Read and check the network annotations. Raises InvalidArgument naming annotation, value and what is allowed."""
    request = NetworkRequest(
        network=_matching(annotations, names.NETWORK, _NAME, "a network name: letters, digits and _ . -"),
        subnets=tuple(_subnet(each) for each in _listed(annotations, names.NETWORK_SUBNETS)),
        aliases=tuple(
            _checked(names.NETWORK_ALIASES, each, _HOST, "a host name")
            for each in _listed(annotations, names.NETWORK_ALIASES)
        ),
        ipv4=_ipv4(annotations.get(names.IPV4, "")),
        ipv6=_ipv6(annotations.get(names.IPV6, "")),
        mac=_mac(annotations.get(names.MAC_ADDRESS, "")),
        extra_hosts=tuple(_extra_host(each) for each in _listed(annotations, names.EXTRA_HOSTS)),
    )
    if not request.is_named:
        for key in (names.NETWORK_SUBNETS, names.NETWORK_ALIASES, names.IPV4, names.IPV6):
            if annotations.get(key):
                raise InvalidArgument(f"{key}: {annotations[key]!r} needs a named network; set {names.NETWORK}")
    for key, address in ((names.IPV4, request.ipv4), (names.IPV6, request.ipv6)):
        same_family = [each for each in request.subnets if address and each.version == address.version]
        if address and same_family and not any(address in each for each in same_family):
            raise InvalidArgument(f"{key}: {address} is outside of {', '.join(map(str, same_family))}")
    return request


def _listed(annotations: Mapping[str, str], key: str) -> list[str]:
    return [part.strip() for part in annotations.get(key, "").split(",") if part.strip()]


def _matching(annotations: Mapping[str, str], key: str, pattern: re.Pattern[str], form: str) -> str:
    value = annotations.get(key, "")
    return _checked(key, value, pattern, form) if value else ""


def _checked(key: str, value: str, pattern: re.Pattern[str], form: str) -> str:
    if not pattern.fullmatch(value):
        raise InvalidArgument(f"{key}: {value!r} is not {form}")
    return value


def _subnet(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise InvalidArgument(
            f"{names.NETWORK_SUBNETS}: {text!r} is not a CIDR such as 10.77.0.0/24: {error}"
        ) from error


def _ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text) if text else None
    except ValueError as error:
        raise InvalidArgument(f"{names.IPV4}: {text!r} is not an IPv4 address such as 10.77.0.10") from error


def _ipv6(text: str) -> IPv6Address | None:
    try:
        return IPv6Address(text) if text else None
    except ValueError as error:
        raise InvalidArgument(f"{names.IPV6}: {text!r} is not an IPv6 address such as fd00:77::10") from error


def _mac(text: str) -> str:
    mac = text.lower().replace("-", ":")
    if mac and (not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1):
        raise InvalidArgument(f"{names.MAC_ADDRESS}: {text!r} is not a unicast MAC address such as 02:42:ac:11:00:10")
    return mac


def _extra_host(text: str) -> tuple[str, str]:
    name, equals, address = text.partition("=")
    if not equals or not _HOST.fullmatch(name):
        raise InvalidArgument(f"{names.EXTRA_HOSTS}: {text!r} is not name=address")
    if address != HOST_GATEWAY:
        try:
            ip_address(address)
        except ValueError as error:
            raise InvalidArgument(
                f"{names.EXTRA_HOSTS}: {address!r} in {text!r} is neither an IP address nor {HOST_GATEWAY}"
            ) from error
    return name, address
