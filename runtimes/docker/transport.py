"""How the SDK's client reaches the engine: one pool of connections for one engine, and a deadline for each call."""

from __future__ import annotations

import socket
import threading
from typing import Any

import docker
import requests.adapters
from docker.errors import create_api_error_from_http_exception
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

from runtimes.docker.config import DockerConfig
from runtimes.docker.endpoint import Endpoint

CONNECT_TIMEOUT = 10
"""Seconds until a local socket has to take the connection. The call's own deadline rules from then on."""


class _Connection(UnixHTTPConnection):
    """The SDK's own leaves its socket open when nobody listens."""

    def connect(self) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(self.timeout)
            opened.connect(self.unix_socket)
        except BaseException:
            opened.close()
            raise
        self.sock = opened


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> _Connection:  # type: ignore[override]  # the SDK's class lacks the protocol's attributes
        return _Connection(self.base_url, self.socket_path, CONNECT_TIMEOUT)


class _OnePool(UnixHTTPAdapter):
    """The SDK keeps a pool for each URL, so that a call on a new container always opens a new connection, and up to
    25 idle ones stay behind. All URLs of one client lead to one socket: one pool serves them."""

    def __init__(self, address: str, connections: int) -> None:
        super().__init__(f"http+{address}", CONNECT_TIMEOUT, pool_connections=1, max_pool_size=connections)
        self._pool = _Pool("http+docker://localhost", self.socket_path, CONNECT_TIMEOUT, connections)

    def get_connection(self, url: str | bytes, proxies: Any = None) -> UnixHTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


class DeadlineClient(docker.APIClient):
    """The SDK's low-level client whose ``timeout`` is that of the call which the current thread makes.

    The SDK has one timeout for all calls of a client. Its methods read the attribute at each call, so a value for
    each thread gives every call its own.
    """

    def __init__(self, config: DockerConfig, endpoint: Endpoint, version: str) -> None:
        self._default_timeout = config.call_timeout
        self._of_thread = threading.local()
        tls: TLSConfig | bool = False
        if endpoint.uses_tls:
            tls = TLSConfig(
                client_cert=(endpoint.cert, endpoint.key) if endpoint.cert else None, ca_cert=endpoint.ca, verify=True
            )
        super().__init__(
            base_url=endpoint.address,
            version=version,
            timeout=config.call_timeout,  # type: ignore[arg-type]  # the SDK accepts fractions of a second
            tls=tls,
            num_pools=1,
            max_pool_size=config.max_threads,
        )
        # Neither proxies nor .netrc apply to an engine, and looking for them costs each call a third of a millisecond.
        self.trust_env = False
        if endpoint.is_local:
            self.mount("http+docker://", _OnePool(endpoint.address, config.max_threads))
        else:
            scheme = "https://" if endpoint.uses_tls else "http://"
            self.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=config.max_threads))

    @property  # type: ignore[override]  # an attribute there, and a whole number
    def timeout(self) -> float:
        """Seconds that the call of this thread may take."""
        seconds: float = getattr(self._of_thread, "seconds", self._default_timeout)
        return seconds

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._of_thread.seconds = seconds

    def ask(self, verb: str, path: str, **arguments: Any) -> requests.Response:
        """A call for which the SDK has no method, or one without what is to be said. ``path`` is without the API
        version. Raises APIError, as its own methods do."""
        url = f"{self.base_url}/v{self.api_version}{path}"
        response = self.request(verb, url, timeout=self.timeout, **arguments)
        try:
            response.raise_for_status()
        except requests.exceptions.HTTPError as error:
            raise create_api_error_from_http_exception(error) from error
        return response
