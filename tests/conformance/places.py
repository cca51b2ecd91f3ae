"""Where a test runs: on which backend, and reached how."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance import differences

BACKENDS = ("fake", "docker", "podman", "remote", "native")
ACCESSES = ("direct", "grpc")


@dataclass(frozen=True)
class Place:
    """One backend, reached one way. ``options`` is None where the host's fixtures know the configuration; else it is
    a runtime of somebody else's, and ``without`` is what they say it lacks."""

    backend: str
    access: str
    options: dict[str, Any] | None = None
    without: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        return self.options is None

    def lacks(self, feature: str) -> str | None:
        """Why the backend may go without ``feature``; None when it may not. A stranger may, with its own reason."""
        return differences.allowed(self.backend, feature) if self.is_ours else "optional"

    def known_to_lack(self, feature: str) -> str | None:
        """Why a test that needs ``feature`` is not even tried; None when it is."""
        if self.is_ours:
            return self.lacks(feature)
        return f"said to be without {feature}" if feature in self.without else None

    def __str__(self) -> str:
        return f"{self.backend}-{self.access}"


def places(config: pytest.Config) -> list[Place]:
    named: str | None = config.getoption("--runtime", default=None)
    if named is None:
        return [Place(backend, access) for backend in BACKENDS for access in ACCESSES]
    pairs = (each.partition("=") for each in config.getoption("--runtime-option"))
    options = {key: _value(text) for key, _, text in pairs}
    without = tuple(config.getoption("--runtime-without"))
    return [Place(named, access, options, without) for access in ACCESSES]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def place_of(item: pytest.Function) -> Place | None:
    """Where the test runs; None for a test of something else."""
    place = item.callspec.params.get("place") if hasattr(item, "callspec") else None
    return place if isinstance(place, Place) else None
