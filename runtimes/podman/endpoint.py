"""Where the engine listens, found as Podman's own client finds it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cri.errors import InvalidArgument
from runtimes.podman.config import PodmanConfig

SYSTEM_SOCKET = "/run/podman/podman.sock"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One engine. ``address`` is ``unix:///path`` or ``tcp://host:port``."""

    address: str

    @property
    def is_local(self) -> bool:
        return self.address.startswith("unix://")

    @property
    def socket_path(self) -> str:
        """The path of a local engine's socket."""
        return self.address.removeprefix("unix://")

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """Where an engine listens that has no socket here."""
        if self.is_local:
            return None
        parts = urlsplit(self.address)
        return parts.hostname or "localhost", parts.port or 0


def find(config: PodmanConfig, environment: Mapping[str, str] = os.environ, uid: int | None = None) -> Endpoint:
    """The engine that ``config`` names; else that of ``CONTAINER_HOST``; else the socket of this user.

    Raises InvalidArgument for an address that is neither a socket nor TCP with a port.
    """
    if config.host:
        return _checked(config.host, "host")
    named = environment.get("CONTAINER_HOST", "")
    if named:
        return _checked(named, "CONTAINER_HOST")
    return Endpoint(f"unix://{_socket(environment, os.getuid() if uid is None else uid)}")


def _checked(address: str, source: str) -> Endpoint:
    if address.startswith("ssh://"):
        raise InvalidArgument(
            f"{source}: minicri opens no SSH connection to {address!r}; forward the socket "
            "(ssh -N -L /run/podman-remote.sock:/run/podman/podman.sock HOST) and name unix:///run/podman-remote.sock"
        )
    if not address.startswith(("unix://", "tcp://")):
        raise InvalidArgument(f"{source}: minicri cannot reach an engine at {address!r}; use unix:///path")
    endpoint = Endpoint(address)
    if endpoint.host_and_port is not None and not endpoint.host_and_port[1]:
        raise InvalidArgument(f"{source}: {address!r} names no port, and Podman has no usual one; use tcp://host:port")
    return endpoint


def _socket(environment: Mapping[str, str], uid: int) -> str:
    """Podman: root's engine is the system's, everybody else has one of their own."""
    if uid == 0:
        return SYSTEM_SOCKET
    return str(Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}", "podman", "podman.sock"))
