"""How podman-py's client reaches the engine: one pool of connections, bounded, that closes what it opened."""

from __future__ import annotations

import socket
from typing import Any

import requests.adapters
import urllib3
import urllib3.connection
from podman.api.client import APIClient

from runtimes.podman.endpoint import Endpoint

CONNECT_TIMEOUT = 10.0
"""Seconds until a local socket has to take the connection. The call's own deadline rules from then on."""


class _Connection(urllib3.connection.HTTPConnection):
    """podman-py's own leaves its socket open when nobody listens, and hides why."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(CONNECT_TIMEOUT)
            opened.connect(self._path)
        except BaseException:
            opened.close()
            raise
        self.sock = opened


class _Pool(urllib3.HTTPConnectionPool):
    def __init__(self, path: str, connections: int) -> None:
        super().__init__("localhost", maxsize=connections)
        self._path = path

    def _new_conn(self) -> _Connection:
        return _Connection(self._path)


class _OnePool(requests.adapters.HTTPAdapter):
    """All URLs of one client lead to one socket: one pool serves them."""

    def __init__(self, path: str, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections)
        self._pool = _Pool(path, connections)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> urllib3.HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


def client(endpoint: Endpoint, version: str, connections: int) -> APIClient:
    """podman-py's low-level client at ``endpoint``, speaking ``version`` of the libpod API; the caller's to close."""
    made = APIClient(base_url=endpoint.address, version=version)
    # Neither proxies nor .netrc apply to an engine.
    made.trust_env = False
    if endpoint.is_local:
        made.mount("http://", _OnePool(endpoint.socket_path, connections))
    else:
        made.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=connections))
    return made
