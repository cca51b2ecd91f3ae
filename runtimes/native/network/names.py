"""Names of what the engine has on the host's network. Pure.

The kernel has one space of names of 15 characters for all engines of a host. Ours begin with the engine's own mark, so
that none is taken for another's, and are made from what they belong to, so that they are found again by it.
"""

from __future__ import annotations

import base64
import hashlib
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path


class EngineNames:
    """Of the engine whose state is in ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve())
        digest = _digest(self._root)
        self._mark = f"mc{digest[:5]}"
        self.table = f"{_TABLES}{digest[:13]}"
        self.group = int.from_bytes(hashlib.blake2b(self._root.encode(), digest_size=4).digest(), "big") | 1
        """Of its links: a second mark, which the kernel keeps beside the name."""

    @property
    def owner(self) -> str:
        """What its bridges say of themselves."""
        return f"minicri {self._root}"[:_ALIAS_LENGTH]

    def is_other_table(self, name: str) -> bool:
        """Whether it is the nftables table of another engine."""
        return name.startswith(_TABLES) and name != self.table

    def link(self, sandbox_id: str) -> str:
        return f"{self._mark}{_digest(sandbox_id)[:8]}"

    def is_link(self, name: str) -> bool:
        """Whether it is the name of a sandbox's link of ours."""
        return name.startswith(self._mark)

    def bridge(self, network: str) -> str:
        """Of a named network."""
        return f"mcb{_digest(self._root, network)[:12]}"


_ALIAS_LENGTH = 255
_TABLES = "minicri_"


def mac_for(address: IPv4Address | IPv6Address) -> str:
    """An address on the link for one of the network: where a network address is given to another sandbox later on, it
    is still behind the hardware address that its neighbours remember."""
    last = address.packed if address.version == 4 else hashlib.blake2b(address.packed, digest_size=4).digest()
    return (bytes((0x06 if address.version == 4 else 0x0A, 0x6D)) + last).hex(":")


def _digest(*parts: str) -> str:
    """Letters and digits, all of them significant."""
    hashed = hashlib.blake2b("\0".join(parts).encode(), digest_size=10).digest()
    return base64.b32encode(hashed).decode().lower()
