"""Where the engine listens and which certificates go with it, found as the docker command finds them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cri.errors import InvalidArgument
from runtimes.docker.config import DockerConfig

SYSTEM_SOCKET = "/var/run/docker.sock"
_PLAIN_PORT, _TLS_PORT = 2375, 2376


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One engine. ``address`` is ``unix:///path`` or ``tcp://host:port``; the rest are paths, empty without TLS."""

    address: str
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def is_local(self) -> bool:
        return self.address.startswith("unix://")

    @property
    def uses_tls(self) -> bool:
        return bool(self.ca)

    @property
    def socket_path(self) -> str:
        """The path of a local engine's socket."""
        return self.address.removeprefix("unix://")

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where a remote engine listens."""
        parts = urlsplit(self.address)
        return parts.hostname or "localhost", parts.port or (_TLS_PORT if self.uses_tls else _PLAIN_PORT)

    def tls_context(self) -> ssl.SSLContext | None:
        """What a TLS connection shows and expects; None without TLS. Raises InvalidArgument for unreadable files."""
        if not self.uses_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:  # ssl.SSLError is one
            raise InvalidArgument(
                f"tls_ca {self.ca!r}, tls_cert {self.cert!r}, tls_key {self.key!r}: {error}"
            ) from error
        return context


def find(config: DockerConfig, environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The engine that ``config`` names; else that of ``DOCKER_HOST``; else the socket that exists.

    ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH`` go with ``DOCKER_HOST``. Raises InvalidArgument for an address that
    is neither a socket nor TCP.
    """
    if config.host:
        return Endpoint(config.host, config.tls_ca, config.tls_cert, config.tls_key)
    named = environment.get("DOCKER_HOST", "")
    if not named:
        return Endpoint(f"unix://{_socket(environment)}")
    if not named.startswith(("unix://", "tcp://")):
        raise InvalidArgument(
            f"DOCKER_HOST: minicri cannot reach an engine at {named!r}; use unix:///path or tcp://host:port"
        )
    if named.startswith("unix://") or not environment.get("DOCKER_TLS_VERIFY"):
        return Endpoint(named, config.tls_ca, config.tls_cert, config.tls_key)
    directory = Path(environment.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    ca, cert, key = (str(directory / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    return Endpoint(named, config.tls_ca or ca, config.tls_cert or cert, config.tls_key or key)


def _socket(environment: Mapping[str, str]) -> str:
    rootless = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}", "docker.sock")
    return str(rootless) if rootless.exists() and not Path(SYSTEM_SOCKET).exists() else SYSTEM_SOCKET
