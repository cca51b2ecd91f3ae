"""The engine's own nftables table, in nft's language. Pure.

Rules stand still; networks and published ports are elements of its sets and maps. The host's other tables are neither
read nor changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

WILDCARDS: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
"""Every address of the host, by version."""


@dataclass(frozen=True, slots=True)
class Published:
    """``port`` of the host, on ``host_ip`` or on all of its addresses, leads to ``target_port`` of ``target``.
    ``protocol`` is tcp, udp or sctp; all addresses are of one version."""

    protocol: str
    host_ip: IPv4Address | IPv6Address
    port: int
    target: IPv4Address | IPv6Address
    target_port: int


@dataclass(frozen=True, slots=True)
class Bridged:
    """A network of ours: its bridge and what addresses are on it."""

    bridge: str
    subnets: tuple[IPv4Network | IPv6Network, ...]


def table(name: str, networks: Iterable[Bridged], published: Iterable[Published]) -> str:
    """The whole table, whatever was in it before.

    - A packet to an address of the host goes on to the sandbox that has the port; also one from the host itself.
    - What leaves a network gets the host's address, as does what comes back to the same network by a published port,
      or from the host's loopback.
    - Bridges have route_localnet set, for that loopback; nobody on them may use it to reach the host's.
    - Networks do not reach each other, other than by published ports.
    """
    return f"""
add table inet {name}
delete table inet {name}
table inet {name} {{
  set networks4 {{ type ipv4_addr; flags interval; }}
  set networks6 {{ type ipv6_addr; flags interval; }}
  set bridges {{ type ifname; }}
  set inside {{ type ifname . ifname; }}
  map any4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map any6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
  map one4 {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  map one6 {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
  chain published {{
    dnat ip to ip daddr . meta l4proto . th dport map @one4
    dnat ip to meta l4proto . th dport map @any4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @one6
    dnat ip6 to meta l4proto . th dport map @any6
  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local jump published
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump published
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr @networks4 ip daddr != @networks4 ip daddr != 224.0.0.0/4 masquerade
    ip saddr 127.0.0.0/8 ip daddr @networks4 masquerade
    ct status dnat ip saddr @networks4 ip daddr @networks4 masquerade
    ip6 saddr @networks6 ip6 daddr != @networks6 ip6 daddr != ff00::/8 masquerade
    ct status dnat ip6 saddr @networks6 ip6 daddr @networks6 masquerade
  }}
  chain loopback {{
    type filter hook prerouting priority -300; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    ct status dnat accept
    iifname @bridges oifname @bridges iifname . oifname != @inside drop
  }}
}}
{"".join(add_network(name, each) for each in networks)}{"".join(publish(name, published))}"""


def remove(name: str) -> str:
    """No table, whether it was there or not."""
    return f"add table inet {name}\ndelete table inet {name}\n"


def add_network(name: str, network: Bridged) -> str:
    return _network("add", name, network)


def remove_network(name: str, network: Bridged) -> str:
    return _network("delete", name, network)


def publish(name: str, published: Iterable[Published]) -> list[str]:
    """One command for each."""
    return [
        f"add element inet {name} {_map(each)} {{ {_key(each)} : {each.target} . {each.target_port} }}\n"
        for each in published
    ]


def unpublish(name: str, published: Iterable[Published]) -> list[str]:
    """One command for each."""
    return [f"delete element inet {name} {_map(each)} {{ {_key(each)} }}\n" for each in published]


def published_in(objects: Iterable[Mapping[str, Any]]) -> list[Published]:
    """What is published by the table whose ``objects`` nft lists in JSON."""
    found: list[Published] = []
    for each in objects:
        for key, value in (each.get("map") or {}).get("elem") or ():
            *host_ip, protocol, port = key["concat"]
            target, target_port = value["concat"]
            at = ip_address(target)
            on = ip_address(host_ip[0]) if host_ip else WILDCARDS[at.version]
            found.append(Published(protocol, on, port, at, target_port))
    return found


def closed_chains(objects: Iterable[Mapping[str, Any]], own_table: str) -> list[str]:
    """Of the chains that nft lists in JSON those of others that forwarded packets must pass, and that let nothing
    through unless a rule says so."""
    chains = [each["chain"] for each in objects if "chain" in each]
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in chains
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain["table"] != own_table
    ]


def _network(verb: str, name: str, network: Bridged) -> str:
    quoted = f'"{network.bridge}"'
    elements = [f"bridges {{ {quoted} }}", f"inside {{ {quoted} . {quoted} }}"]
    elements += [f"networks{subnet.version} {{ {subnet} }}" for subnet in network.subnets]
    return "".join(f"{verb} element inet {name} {element}\n" for element in elements)


def _map(published: Published) -> str:
    everywhere = published.host_ip == WILDCARDS[published.host_ip.version]
    return f"{'any' if everywhere else 'one'}{published.host_ip.version}"


def _key(published: Published) -> str:
    port = f"{published.protocol} . {published.port}"
    everywhere = published.host_ip == WILDCARDS[published.host_ip.version]
    return port if everywhere else f"{published.host_ip} . {port}"
