"""Requests about links, addresses and routes. Pure.

Numbers and layouts are the kernel's (rtnetlink(7), linux/if_link.h).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from runtimes.native.network.netlink import CREATE, EXCLUSIVE, Request, attribute, attributes, nested, text

LEAVING = 0x6D437269
"""The group of links that are about to be removed, whichever engine of ours they are of: the kernel removes a whole
group in the time that it takes for one link."""

INSIDE = "eth0"
"""What a sandbox calls its interface."""

_NEW_LINK, _DELETE_LINK, _GET_LINK, _SET_LINK = 16, 17, 18, 19
_NEW_ADDRESS = 20
_NEW_ROUTE = 24
_BRIDGE_FAMILY, _ANY_FAMILY = 7, 0
_FAMILIES = {4: 2, 6: 10}
_UP = 1
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_PROTINFO = 1, 3, 4, 10, 12
_IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_STATS64, _IFLA_GROUP, _IFLA_NET_NS_FD = 18, 20, 23, 27, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_BRPORT_HAIRPIN = 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NO_DUPLICATE_DETECTION = 0x02
_RTA_OIF, _RTA_GATEWAY = 4, 5
_MAIN_TABLE, _BY_BOOT, _UNIVERSE, _UNICAST = 254, 3, 0, 1


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface. ``alias`` is a text that its maker gave it, ``group`` a number."""

    index: int
    name: str
    alias: str
    group: int
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the interface was made."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


def veth(name: str, *, master: int, group: int, mtu: int, peer: str, peer_mac: str, namespace: int) -> Request:
    """A pair: ``name`` here, up and a port of the bridge with the index ``master``; ``peer`` in the network namespace
    that the descriptor ``namespace`` is of."""
    far = b"".join(
        (
            _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0),
            attribute(_IFLA_IFNAME, peer),
            attribute(_IFLA_ADDRESS, _mac(peer_mac)),
            attribute(_IFLA_MTU, mtu),
            attribute(_IFLA_NET_NS_FD, namespace),
        )
    )
    body = b"".join(
        (
            _LINK.pack(_ANY_FAMILY, 0, 0, _UP, _UP),
            attribute(_IFLA_IFNAME, name),
            attribute(_IFLA_MTU, mtu),
            attribute(_IFLA_MASTER, master),
            attribute(_IFLA_GROUP, group),
            nested(_IFLA_LINKINFO, attribute(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_VETH_PEER, far))),
        )
    )
    return Request(_NEW_LINK, body, CREATE | EXCLUSIVE, f"making the link {name}")


def bridge(name: str, mac: str, group: int) -> Request:
    """A bridge that is down yet. With a fixed ``mac``: it would take another with each port otherwise."""
    body = b"".join(
        (
            _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0),
            attribute(_IFLA_IFNAME, name),
            attribute(_IFLA_ADDRESS, _mac(mac)),
            attribute(_IFLA_GROUP, group),
            nested(_IFLA_LINKINFO, attribute(_INFO_KIND, "bridge")),
        )
    )
    return Request(_NEW_LINK, body, CREATE | EXCLUSIVE, f"making the bridge {name}")


def alias(name: str, words: str) -> Request:
    body = (
        _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name) + attribute(_IFLA_IFALIAS, words.encode())
    )
    return Request(_NEW_LINK, body, about=f"naming the owner of {name}")


def up(name: str) -> Request:
    body = _LINK.pack(_ANY_FAMILY, 0, 0, _UP, _UP) + attribute(_IFLA_IFNAME, name)
    return Request(_NEW_LINK, body, about=f"setting {name} up")


def hairpin(index: int) -> Request:
    """Let what comes in at a port of a bridge go out there again: a sandbox that talks to itself by the host's port,
    where the host filters what is bridged as well."""
    body = _LINK.pack(_BRIDGE_FAMILY, 0, index, 0, 0) + nested(_IFLA_PROTINFO, attribute(_BRPORT_HAIRPIN, b"\1"))
    return Request(_SET_LINK, body, about=f"letting port {index} of a bridge talk to itself")


def move(name: str, group: int) -> Request:
    body = _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name) + attribute(_IFLA_GROUP, group)
    return Request(_NEW_LINK, body, about=f"moving {name} to group {group:#x}")


def delete(name: str) -> Request:
    body = _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name)
    return Request(_DELETE_LINK, body, about=f"removing the link {name}")


def delete_group(group: int) -> Request:
    body = _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0) + attribute(_IFLA_GROUP, group)
    return Request(_DELETE_LINK, body, about=f"removing the links of group {group:#x}")


def get(name: str) -> Request:
    body = _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name)
    return Request(_GET_LINK, body, about=f"looking for the link {name}")


def every() -> Request:
    return Request(_GET_LINK, _LINK.pack(_ANY_FAMILY, 0, 0, 0, 0), about="listing links")


def address(index: int, interface: IPv4Interface | IPv6Interface) -> Request:
    """IPv6 without the second in which the kernel looks for duplicates: addresses are ours to give."""
    packed = interface.ip.packed
    flags = _NO_DUPLICATE_DETECTION if interface.version == 6 else 0
    body = b"".join(
        (
            _ADDRESS.pack(_FAMILIES[interface.version], interface.network.prefixlen, flags, _UNIVERSE, index),
            attribute(_IFA_LOCAL, packed),
            attribute(_IFA_ADDRESS, packed),
            attribute(_IFA_FLAGS, flags),
        )
    )
    return Request(_NEW_ADDRESS, body, CREATE | EXCLUSIVE, f"giving {interface} to link {index}")


def default_route(index: int, gateway: IPv4Address | IPv6Address) -> Request:
    header = _ROUTE.pack(_FAMILIES[gateway.version], 0, 0, 0, _MAIN_TABLE, _BY_BOOT, _UNIVERSE, _UNICAST, 0)
    body = header + attribute(_RTA_GATEWAY, gateway.packed) + attribute(_RTA_OIF, index)
    return Request(_NEW_ROUTE, body, CREATE | EXCLUSIVE, f"the default route by {gateway}")


def link(body: bytes) -> Link:
    """From an answer to ``get`` or ``every``."""
    found = attributes(body, _LINK.size)
    return Link(
        index=_LINK.unpack_from(body)[2],
        name=text(found.get(_IFLA_IFNAME, b"")),
        alias=text(found.get(_IFLA_IFALIAS, b"")),
        group=int.from_bytes(found.get(_IFLA_GROUP, b""), "little"),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=int.from_bytes(found.get(_IFLA_MTU, b""), "little"),
    )


def counters(body: bytes) -> Counters:
    """From an answer to ``get`` or ``every``."""
    found = attributes(body, _LINK.size)
    received, sent, *_ = numbers = struct.unpack_from("=8Q", found[_IFLA_STATS64])
    return Counters(
        text(found.get(_IFLA_IFNAME, b"")),
        rx_packets=received, tx_packets=sent,
        rx_bytes=numbers[2], tx_bytes=numbers[3],
        rx_errors=numbers[4], tx_errors=numbers[5],
        rx_dropped=numbers[6], tx_dropped=numbers[7],
    )  # fmt: skip


def _mac(words: str) -> bytes:
    return bytes.fromhex(words.replace(":", ""))
