"""The server: what it serves besides CRI, what ends a call, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import cri
from cri.errors import InvalidArgument
from cri.rpc import RPCS
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import Work, raw_channel, scripted

# --- beside CRI ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["", "runtime.v1.RuntimeService", "runtime.v1.ImageService"])
async def test_health_says_serving(service: str, address: str) -> None:
    async with cri.serve(scripted(), address), raw_channel(address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_says_not_serving_while_calls_are_drained(address: str) -> None:
    work = Work()
    async with cri.serve(scripted(version=work.version), address) as server, raw_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        async with cri.connect(address) as client, asyncio.TaskGroup() as tasks:
            call = tasks.create_task(client.version(v1.VersionRequest()))
            await work.begun.wait()
            drained = tasks.create_task(server.drain())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert (await health.Check(health_pb2.HealthCheckRequest())).status == (
                health_pb2.HealthCheckResponse.NOT_SERVING
            )
            work.finish.set()
            assert (await call).version == "done"
            await drained
        watch.cancel()


async def test_reflection_finds_the_services_and_their_messages(address: str) -> None:
    async with cri.serve(scripted(), address), raw_channel(address) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter(
                [
                    reflection_pb2.ServerReflectionRequest(list_services=""),
                    reflection_pb2.ServerReflectionRequest(file_containing_symbol="runtime.v1.RuntimeService"),
                ]
            )
        )
        listed, file = [answer async for answer in ask]
    names = {service.name for service in listed.list_services_response.service}
    assert {"runtime.v1.RuntimeService", "runtime.v1.ImageService", "grpc.health.v1.Health"} <= names
    assert v1.DESCRIPTOR.serialized_pb in file.file_descriptor_response.file_descriptor_proto


async def test_several_tables_share_one_address(address: str) -> None:
    """The orchestrator's service stands beside CRI in this way."""
    images = tuple(rpc for rpc in RPCS if rpc.service.endswith("ImageService"))
    runtime = tuple(rpc for rpc in RPCS if rpc not in images)

    async def version(request: object) -> v1.VersionResponse:
        return v1.VersionResponse(version="from the first")

    async def list_images(request: object) -> v1.ListImagesResponse:
        return v1.ListImagesResponse(images=[v1.Image(id="from the second")])

    first, second = scripted(version=version), scripted(list_images=list_images)
    async with cri.serve(first, address, rpcs=runtime, also=[(images, second)]), cri.connect(address) as client:
        assert (await client.version(v1.VersionRequest())).version == "from the first"
        assert (await client.list_images(v1.ListImagesRequest())).images[0].id == "from the second"


async def test_an_implementation_that_lacks_a_method_is_refused_at_once(address: str, short_path: Path) -> None:
    with pytest.raises(TypeError, match=r"no method 'version' for /runtime\.v1\.RuntimeService/Version"):
        await cri.serve(object(), address).start()
    assert list(short_path.iterdir()) == []  # noqa: ASYNC240 - nothing else runs


async def test_the_log_names_services_and_address(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cri.server"):
        async with cri.serve(scripted(), address):
            pass
    assert f"serving runtime.v1.ImageService, runtime.v1.RuntimeService at {address}" in caplog.text


async def test_a_wrong_address_is_an_invalid_argument_before_anything_starts() -> None:
    with pytest.raises(InvalidArgument, match="unix:///"):
        cri.serve(scripted(), "/run/x.sock")
