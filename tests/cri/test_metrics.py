"""What a Prometheus server reads about the calls."""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator

import pytest

import cri
from cri.errors import AlreadyExists, InvalidArgument, NotFound
from cri.metrics import RpcMetrics, http_endpoint
from cri.tls import Tls
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import scripted


def value(metrics: RpcMetrics, name: str, method: str, kind: str = "unary", **labels: str) -> float | None:
    service = {"grpc_service": "runtime.v1.RuntimeService", "grpc_method": method, "grpc_type": kind}
    return metrics.registry.get_sample_value(name, {**service, **labels})


async def test_calls_are_counted_by_code_and_timed(address: str) -> None:
    async def status(request: object) -> v1.StatusResponse:
        raise NotFound("no")

    metrics = RpcMetrics()
    async with cri.serve(scripted(status=status), address, observer=metrics), cri.connect(address) as client:
        await client.version(v1.VersionRequest())
        await client.version(v1.VersionRequest())
        with pytest.raises(NotFound):
            await client.status(v1.StatusRequest())
    assert value(metrics, "grpc_server_handled_total", "Version", grpc_code="OK") == 2
    assert value(metrics, "grpc_server_handled_total", "Status", grpc_code="NOT_FOUND") == 1
    assert value(metrics, "grpc_server_handling_seconds_count", "Version") == 2
    assert value(metrics, "grpc_server_in_flight", "Version") == 0


async def test_a_stream_is_in_flight_until_its_caller_leaves_and_then_counts_as_cancelled(address: str) -> None:
    async def events(request: object) -> AsyncIterator[v1.ContainerEventResponse]:
        yield v1.ContainerEventResponse()
        await asyncio.Event().wait()

    metrics = RpcMetrics()
    server = cri.serve(scripted(get_container_events=events), address, observer=metrics)
    async with server, cri.connect(address) as client:
        await anext(client.get_container_events(v1.GetEventsRequest()))
        in_flight = value(metrics, "grpc_server_in_flight", "GetContainerEvents", "server_stream")
    assert in_flight == 1
    assert value(metrics, "grpc_server_in_flight", "GetContainerEvents", "server_stream") == 0
    ended = value(metrics, "grpc_server_handled_total", "GetContainerEvents", "server_stream", grpc_code="CANCELLED")
    assert ended == 1


def read(url: str, context: ssl.SSLContext | None = None) -> str:
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:
        text: str = answer.read().decode()
        return text


async def test_metrics_are_read_over_http(address: str) -> None:
    metrics = RpcMetrics()
    with http_endpoint(metrics.registry, "127.0.0.1:0") as at:
        async with cri.serve(scripted(), address, observer=metrics), cri.connect(address) as client:
            await client.version(v1.VersionRequest())
        text = await asyncio.to_thread(read, f"http://{at}/metrics")
    assert 'grpc_server_handled_total{grpc_code="OK",grpc_method="Version"' in text


def test_metrics_beyond_loopback_need_tls() -> None:
    with pytest.raises(InvalidArgument, match="loopback"), http_endpoint(RpcMetrics().registry, "0.0.0.0:0"):
        pass


def test_metrics_over_tls_want_a_certificate_of_the_reader(tls: Tls) -> None:
    with http_endpoint(RpcMetrics().registry, "127.0.0.1:0", tls=tls) as at:
        context = ssl.create_default_context(cafile=tls.ca)
        with pytest.raises(OSError, match=r"(?i)certificate|reset|eof"):
            read(f"https://{at}/metrics", context)
        context.load_cert_chain(tls.cert, tls.key)
        assert "grpc_server" in read(f"https://{at}/metrics", context)


def test_a_metrics_address_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AlreadyExists, match=at), http_endpoint(RpcMetrics().registry, at):
            pass


def test_metrics_at_a_unix_socket_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="host:port"), http_endpoint(RpcMetrics().registry, "unix:///run/x.sock"):
        pass
