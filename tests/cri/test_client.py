"""The client: a Runtime across the wire."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cri
from cri.client import Client, Connection
from cri.errors import DeadlineExceeded, Unavailable
from cri.rpc import RPCS, Rpc
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import scripted


async def test_a_client_is_a_runtime(address: str) -> None:
    async with cri.connect(address) as client:
        assert isinstance(client, Runtime)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
async def test_every_rpc_goes_there_and_back(rpc: Rpc, address: str) -> None:
    asked: list[Any] = []

    async def unary(request: Any) -> Any:
        asked.append(request)
        return rpc.response()

    async def stream(request: Any) -> AsyncIterator[Any]:
        asked.append(request)
        yield rpc.response()
        yield rpc.response()

    runtime = scripted(**{rpc.attribute: stream if rpc.streaming else unary})
    async with cri.serve(runtime, address), cri.connect(address) as client:
        method = getattr(client, rpc.attribute)
        if rpc.streaming:
            assert [answer async for answer in method(rpc.request())] == [rpc.response()] * 2
        else:
            assert await method(rpc.request()) == rpc.response()
    assert asked == [rpc.request()]


async def test_methods_are_named_and_documented_as_in_the_contract() -> None:
    assert Client.run_pod_sandbox.__name__ == "run_pod_sandbox"
    assert Client.run_pod_sandbox.__doc__ == Runtime.run_pod_sandbox.__doc__


async def test_an_interface_over_another_table_has_a_client_of_its_own(address: str) -> None:
    table = tuple(rpc for rpc in RPCS if rpc.service.endswith("ImageService"))

    class Images(Connection, rpcs=table):
        pass

    async with cri.serve(scripted(), address, rpcs=table), Images.connect(address) as images:
        assert await getattr(images, "list_images")(v1.ListImagesRequest()) == v1.ListImagesResponse()  # noqa: B009
        assert not hasattr(images, "version")


async def test_the_wrong_request_is_a_type_error_here_rather_than_nonsense_there(address: str) -> None:
    async with cri.connect(address) as client:
        with pytest.raises(TypeError, match="version takes a VersionRequest, not StatusRequest"):
            await client.version(v1.StatusRequest())  # type: ignore[arg-type]


# --- deadlines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "request_", "deadline"),
    [
        ("version", v1.VersionRequest(), 50),
        ("run_pod_sandbox", v1.RunPodSandboxRequest(), 50),
        ("stop_container", v1.StopContainerRequest(timeout=0), 50),
        ("stop_container", v1.StopContainerRequest(timeout=600), 650),
        ("stop_container", v1.StopContainerRequest(timeout=-5), 50),
        ("checkpoint_container", v1.CheckpointContainerRequest(timeout=7), 57),
        ("exec_sync", v1.ExecSyncRequest(timeout=7), 57),
        ("exec_sync", v1.ExecSyncRequest(timeout=0), None),
        ("pull_image", v1.PullImageRequest(), None),
        ("get_container_events", v1.GetEventsRequest(), None),
        ("stream_images", v1.StreamImagesRequest(), None),
    ],
)
async def test_a_call_has_the_deadline_that_its_request_asks_for(
    method: str, request_: Any, deadline: float | None, address: str
) -> None:
    rpc = next(rpc for rpc in RPCS if rpc.attribute == method)
    async with cri.connect(address, timeout=50) as client:
        assert client._deadline(rpc, request_) == deadline


async def test_a_call_that_takes_longer_than_its_deadline_is_deadline_exceeded(address: str) -> None:
    async def version(request: object) -> v1.VersionResponse:
        await asyncio.Event().wait()
        return v1.VersionResponse()

    async with cri.serve(scripted(version=version), address), cri.connect(address, timeout=0.2) as client:
        await client.ready(60)
        with pytest.raises(DeadlineExceeded):
            await client.version(v1.VersionRequest())


async def test_a_timeout_of_the_callers_own_is_a_timeout_error(address: str) -> None:
    async def version(request: object) -> v1.VersionResponse:
        await asyncio.Event().wait()
        return v1.VersionResponse()

    async with cri.serve(scripted(version=version), address), cri.connect(address) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.version(v1.VersionRequest())


# --- an endpoint that is down -------------------------------------------------------------------------------------


async def test_no_socket_is_unavailable_at_once(address: str) -> None:
    async with cri.connect(address, timeout=3600) as client:
        with pytest.raises(Unavailable, match=r"x\.sock"):
            await client.version(v1.VersionRequest())


async def test_a_stream_from_nowhere_is_unavailable_at_once(address: str) -> None:
    async with cri.connect(address) as client:
        with pytest.raises(Unavailable):
            await anext(client.get_container_events(v1.GetEventsRequest()))


async def test_nobody_at_the_port_is_unavailable_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    async with cri.connect(address, insecure=True, timeout=3600) as client:
        with pytest.raises(Unavailable, match="refused"):
            await client.version(v1.VersionRequest())


async def test_an_endpoint_that_never_answers_is_unavailable_within_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        async with cri.connect(address, insecure=True, timeout=0.3) as client:
            with pytest.raises(Unavailable, match=f"{address} does not answer"):
                await client.version(v1.VersionRequest())


async def test_waiting_for_an_endpoint_that_stays_away_ends_with_unavailable(address: str) -> None:
    async with cri.connect(address) as client:
        with pytest.raises(Unavailable, match=r"does not answer within 0\.2 s"):
            await client.ready(0.2)


async def test_a_client_finds_its_endpoint_again(address: str) -> None:
    async with cri.connect(address) as client:
        for _ in range(3):
            async with cri.serve(scripted(), address):
                await client.ready(20)
                await client.version(v1.VersionRequest())
            with pytest.raises(Unavailable):
                await client.version(v1.VersionRequest())


async def test_a_call_in_flight_is_unavailable_when_its_server_goes(address: str) -> None:
    begun = asyncio.Event()

    async def version(request: object) -> v1.VersionResponse:
        begun.set()
        await asyncio.Event().wait()
        return v1.VersionResponse()

    async with cri.connect(address) as client:
        async with cri.serve(scripted(version=version), address, grace=0):
            call = asyncio.create_task(client.version(v1.VersionRequest()))
            await begun.wait()
        with pytest.raises(Unavailable):
            await call


# --- the end ------------------------------------------------------------------------------------------------------


async def test_a_closed_client_is_unavailable_and_may_be_closed_again(address: str) -> None:
    client = cri.connect(address)
    await client.aclose()
    await client.aclose()
    with pytest.raises(Unavailable, match="is closed"):
        await client.version(v1.VersionRequest())
    with pytest.raises(Unavailable, match="is closed"):
        await anext(client.get_container_events(v1.GetEventsRequest()))


async def test_closing_a_client_fails_its_calls_without_looking_like_a_cancellation(address: str) -> None:
    begun = asyncio.Event()

    async def version(request: object) -> v1.VersionResponse:
        begun.set()
        await asyncio.Event().wait()
        return v1.VersionResponse()

    async def events(request: object) -> AsyncIterator[v1.ContainerEventResponse]:
        yield v1.ContainerEventResponse()
        await asyncio.Event().wait()

    async with cri.serve(scripted(version=version, get_container_events=events), address):
        client = cri.connect(address)
        stream = client.get_container_events(v1.GetEventsRequest())
        await anext(stream)
        call = asyncio.create_task(client.version(v1.VersionRequest()))
        await begun.wait()
        await client.aclose()
        with pytest.raises(Unavailable, match="closed during the call"):
            await call
        with pytest.raises(Unavailable, match="closed during the call"):
            await anext(stream)


def test_a_client_outside_a_loop_is_refused(address: str) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        cri.connect(address)
