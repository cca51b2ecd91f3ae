"""What a sandbox has of the network, once it is attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cri.annotations import EXTRA_HOSTS
from cri.errors import FailedPrecondition
from cri.networks import HOST_GATEWAY, NetworkRequest

HOST_ITSELF = "127.0.0.1"
"""The host, for a sandbox on its network."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """``netns`` is None on the host's network. ``ip`` is empty there and without a network.

    ``dns`` are the name servers that a sandbox is to ask; None: those of its config, or the host's. ``extra_hosts`` are
    names and addresses for its /etc/hosts. ``host`` is the host's own address on the network; empty where it has none.
    ``names`` are what others on a named network find it by, and ``forwarders`` whom the network's name server is to ask
    for it about all other names; without any the host's.
    """

    netns: Path | None
    ip: str = ""
    additional_ips: tuple[str, ...] = ()
    dns: tuple[str, ...] | None = None
    extra_hosts: tuple[tuple[str, str], ...] = ()
    host: str = ""
    network: str = ""
    names: tuple[str, ...] = ()
    forwarders: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """For the database; see ``of_facts``."""
        return {
            "netns": str(self.netns),
            "ips": [self.ip, *self.additional_ips],
            "dns": self.dns,
            "extra_hosts": self.extra_hosts,
            "host": self.host,
            "network": self.network,
            "names": self.names,
            "forwarders": self.forwarders,
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Attachment:
        ip, *additional = facts["ips"]
        return cls(
            Path(facts["netns"]),
            ip,
            tuple(additional),
            None if facts["dns"] is None else tuple(facts["dns"]),
            tuple((name, address) for name, address in facts["extra_hosts"]),
            facts["host"],
            facts["network"],
            tuple(facts["names"]),
            tuple(facts["forwarders"]),
        )


def extra_hosts(request: NetworkRequest, host: str) -> tuple[tuple[str, str], ...]:
    """The names with their addresses. Raises FailedPrecondition where the host has none that could be given."""
    for name, address in request.extra_hosts:
        if address == HOST_GATEWAY and not host:
            raise FailedPrecondition(
                f"{EXTRA_HOSTS}: {name} cannot be the host: it has no address on network {request.network!r}"
            )
    return tuple((name, host if address == HOST_GATEWAY else address) for name, address in request.extra_hosts)


def first(addresses: Sequence[object]) -> str:
    return str(addresses[0]) if addresses else ""
