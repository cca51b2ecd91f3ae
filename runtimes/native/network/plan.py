"""What a sandbox asks of the network, from its CRI config. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from cri import networks
from cri.errors import InvalidArgument
from cri.networks import NO_NETWORK, NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.native.network.namespaces import is_of_interface
from runtimes.native.network.rules import WILDCARDS, Published
from runtimes.shared import sandbox_rules
from runtimes.shared.sandbox_rules import HOST_NETWORK

_PROTOCOLS = {v1.TCP: "tcp", v1.UDP: "udp", v1.SCTP: "sctp"}


@dataclass(frozen=True, slots=True)
class Port:
    """``host_ip`` is empty for every address of the host."""

    protocol: str
    host_ip: str
    port: int
    target_port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """``network`` is ``host``, ``none``, a named network, or empty for the default one. ``sysctls`` are those of the
    sandbox's interface; they can be set only once it is there. ``names`` and ``forwarders``: see ``Attachment``."""

    network: str
    request: NetworkRequest
    ports: tuple[Port, ...]
    sysctls: dict[str, str]
    names: tuple[str, ...]
    forwarders: tuple[str, ...]

    @property
    def is_host(self) -> bool:
        return self.network == HOST_NETWORK

    @property
    def is_none(self) -> bool:
        return self.network == NO_NETWORK

    @property
    def static(self) -> tuple[IPv4Address | IPv6Address, ...]:
        return tuple(each for each in (self.request.ipv4, self.request.ipv6) if each is not None)


def read(config: v1.PodSandboxConfig) -> Plan:
    """Raises InvalidArgument. CRI: host_port 0 is "not published"; on the host's network every port is there anyway."""
    request = networks.read(config.annotations)
    network = sandbox_rules.network_name(config, request, ())
    ports = [
        Port(_PROTOCOLS[each.protocol], each.host_ip, each.host_port, each.container_port)
        for each in config.port_mappings
        if each.host_port and network != HOST_NETWORK
    ]
    sysctls = sandbox_rules.sysctls(config.linux)
    late = {name: value for name, value in sysctls.items() if is_of_interface(name)}
    names = filter(None, (*request.aliases, config.hostname))
    return Plan(
        network,
        request,
        tuple(dict.fromkeys(ports)),
        late,
        tuple(dict.fromkeys(each.lower() for each in names)),
        tuple(filter(_is_address, config.dns_config.servers)),
    )


def published(ports: Iterable[Port], addresses: Iterable[IPv4Address | IPv6Address]) -> list[Published]:
    """The ports as rules for a sandbox with these addresses. Raises InvalidArgument for a host address of a version
    that the sandbox has none of."""
    by_version = {address.version: address for address in addresses}
    found: list[Published] = []
    for each in ports:
        wildcards = [WILDCARDS[version] for version in by_version]
        for host_ip in _addresses(each.host_ip) or wildcards:
            if host_ip.version not in by_version:
                raise InvalidArgument(
                    f"config.port_mappings: port {each.port} cannot be published on {host_ip}: "
                    f"the sandbox has no IPv{host_ip.version} address"
                )
            if host_ip.version == 6 and host_ip.is_loopback:
                raise InvalidArgument(
                    f"config.port_mappings: port {each.port} cannot be published on {host_ip}: the kernel routes "
                    "nothing from there to a sandbox; 127.0.0.1 it does"
                )
            found.append(Published(each.protocol, host_ip, each.port, by_version[host_ip.version], each.target_port))
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _addresses(text: str) -> list[IPv4Address | IPv6Address]:
    found: list[IPv4Address | IPv6Address] = []
    if text:
        found.append(ip_address(text))
    return found
