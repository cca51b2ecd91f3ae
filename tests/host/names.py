"""What a slot is called in each of the host's name spaces, and where slots live."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

MARK = "MINICRI_HOST_SLOT"
"""Environment variable that every process started in a slot carries: it is how they are found again."""

KEEPER = "tests.host.keeper"
"""The module of the process that outlives a run."""


def base() -> Path:
    """Where slots live: a real disk, which /tmp need not be. `TEST_HOST_DIR` moves it."""
    return Path(os.environ.get("TEST_HOST_DIR") or f"/var/tmp/minicri-host-{os.getuid()}")


@dataclass(frozen=True)
class Names:
    """The names of slot `number`. All its networks are within 10.(200 + number).0.0/16."""

    number: int

    @property
    def path(self) -> Path:
        return base() / str(self.number)

    @property
    def lock(self) -> Path:
        return base() / f"{self.number}.lock"

    @property
    def bridge(self) -> str:
        return f"mcri{self.number}"

    @property
    def cgroup(self) -> str:
        return f"minicri-{self.number}"

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.{200 + self.number}.0.0/16")

    @property
    def bridge_address(self) -> ipaddress.IPv4Interface:
        return ipaddress.IPv4Interface(f"{self.network[1]}/20")


def slots_with(directory: str) -> list[Names]:
    """The slots that have this directory, by which an engine is known."""
    numbers = (int(path.name) for path in base().iterdir() if path.name.isdigit())
    return [names for names in map(Names, numbers) if (names.path / directory).exists()]
