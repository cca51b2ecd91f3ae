"""Prometheus metrics of the calls a server answers, and the HTTP endpoint where they are read.

Nothing is counted or opened unless asked for: pass an ``RpcMetrics`` as ``observer`` to ``cri.serve``. The names are
the ones that gRPC servers have elsewhere, so dashboards made for those work here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from cri.addresses import TcpAddress, parse
from cri.errors import AlreadyExists, InvalidArgument
from cri.rpc import Rpc
from cri.tls import Tls, server_credentials

_LABELS = ("grpc_service", "grpc_method", "grpc_type")

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""From a list out of memory to a large pull."""


class RpcMetrics:
    """Counts calls by RPC and code, how long they take in seconds, and how many are in flight."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._handled = Counter(
            "grpc_server_handled", "Calls answered, by code.", (*_LABELS, "grpc_code"), registry=self.registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Seconds from request to status.",
            _LABELS,
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._in_flight = Gauge("grpc_server_in_flight", "Calls being answered.", _LABELS, registry=self.registry)

    def started(self, rpc: Rpc) -> None:
        """A call came in."""
        self._in_flight.labels(*_labels(rpc)).inc()

    def ended(self, rpc: Rpc, code: grpc.StatusCode, seconds: float) -> None:
        """It was answered with ``code``."""
        labels = _labels(rpc)
        self._in_flight.labels(*labels).dec()
        self._handled.labels(*labels, code.name).inc()
        self._seconds.labels(*labels).observe(seconds)


def _labels(rpc: Rpc) -> tuple[str, str, str]:
    return rpc.service, rpc.name, "server_stream" if rpc.streaming else "unary"


@contextmanager
def http_endpoint(registry: CollectorRegistry, address: str, *, tls: Tls | None = None) -> Iterator[str]:
    """Serve ``registry`` at ``http://address/metrics`` while the block runs; yields the address with its port.

    ::

        metrics = RpcMetrics()
        with http_endpoint(metrics.registry, "127.0.0.1:9090"):
            async with cri.serve(runtime, address, observer=metrics) as server:
                await server.run_until_signal()

    Loopback needs no ``tls``; any other address does, and then scrapers show a certificate too. Raises
    InvalidArgument for the address or certificates, AlreadyExists when the port is taken. A thread of its own.
    """
    at = parse(address)
    if not isinstance(at, TcpAddress):
        raise InvalidArgument(f"metrics address {address!r}: metrics are served at host:port only")
    server_credentials(at, tls, insecure=tls is None)  # the same rule, and the same check of the files, as for calls
    try:
        server, thread = start_http_server(
            at.port,
            addr=at.host,
            registry=registry,
            certfile=str(tls.cert) if tls else None,
            keyfile=str(tls.key) if tls else None,
            client_cafile=str(tls.ca) if tls else None,
            client_auth_required=tls is not None,
        )
    except OSError as error:
        raise AlreadyExists(f"metrics address {address} cannot be bound: {error.strerror}") from error
    try:
        yield str(TcpAddress(at.host, server.server_port))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
