"""What goes over the wire as bytes: large messages, broken ones."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cri
from cri.errors import ResourceExhausted
from cri.rpc import MAX_MESSAGE_BYTES, RPCS, Rpc
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import raw_channel, scripted


def image_list(size: int) -> v1.ListImagesResponse:
    """A message of exactly ``size`` bytes."""
    message = v1.ListImagesResponse(images=[v1.Image(id="x" * (size - 64))])
    message.images[0].id += "x" * (size - message.ByteSize())
    assert message.ByteSize() == size
    return message


async def test_a_response_of_16_mib_arrives(address: str) -> None:
    async def answer(request: object) -> v1.ListImagesResponse:
        return image_list(MAX_MESSAGE_BYTES)

    async with cri.serve(scripted(list_images=answer), address), cri.connect(address) as client:
        assert (await client.list_images(v1.ListImagesRequest())).ByteSize() == MAX_MESSAGE_BYTES


async def test_a_response_over_16_mib_is_resource_exhausted_and_says_so(address: str) -> None:
    async def answer(request: object) -> v1.ListImagesResponse:
        return image_list(MAX_MESSAGE_BYTES + 1)

    async with cri.serve(scripted(list_images=answer), address), cri.connect(address) as client:
        with pytest.raises(ResourceExhausted, match=rf"ListImages has {MAX_MESSAGE_BYTES + 1} bytes"):
            await client.list_images(v1.ListImagesRequest())


def sized_request(size: int) -> v1.VersionRequest:
    message = v1.VersionRequest(version="x" * (size - 64))
    message.version += "x" * (size - message.ByteSize())
    return message


async def test_a_request_of_16_mib_arrives(address: str) -> None:
    async def answer(request: v1.VersionRequest) -> v1.VersionResponse:
        return v1.VersionResponse(version=str(request.ByteSize()))

    async with cri.serve(scripted(version=answer), address), cri.connect(address) as client:
        answered = await client.version(sized_request(MAX_MESSAGE_BYTES))
    assert answered.version == str(MAX_MESSAGE_BYTES)


async def test_a_request_over_16_mib_is_refused_by_our_client(address: str) -> None:
    async with cri.serve(scripted(), address), cri.connect(address) as client:
        with pytest.raises(ResourceExhausted):
            await client.version(sized_request(MAX_MESSAGE_BYTES + 1))


async def test_a_request_over_16_mib_of_any_client_is_refused_by_the_server(address: str) -> None:
    async with cri.serve(scripted(), address), raw_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await channel.unary_unary("/runtime.v1.RuntimeService/Version")(b"\x0a" + b"x" * MAX_MESSAGE_BYTES)
        assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await channel.unary_unary("/runtime.v1.RuntimeService/Version")(b"") == b""


async def test_bytes_that_are_no_message_are_an_invalid_argument(address: str) -> None:
    async with cri.serve(scripted(), address), raw_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=r"not a valid runtime\.v1\.VersionRequest") as failure:
            await channel.unary_unary("/runtime.v1.RuntimeService/Version")(b"\xff\xff")
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
def test_no_bytes_end_the_server(rpc: Rpc, address: str) -> None:
    loop = asyncio.new_event_loop()
    server = cri.serve(scripted(), address)

    async def begin() -> Any:
        await server.start()
        return raw_channel(address)

    async def answer(raw: bytes) -> grpc.StatusCode:
        call = (channel.unary_stream if rpc.streaming else channel.unary_unary)(rpc.path)(raw)
        code: grpc.StatusCode = await call.code()
        return code

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.binary(max_size=64) | st.builds(lambda tail: b"\x0a\x04abcd" + tail, st.binary(max_size=16)))
    def try_bytes(raw: bytes) -> None:
        assert loop.run_until_complete(answer(raw)) in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)

    channel = loop.run_until_complete(begin())
    try:
        try_bytes()
        assert loop.run_until_complete(answer(b"")) is grpc.StatusCode.OK
    finally:
        loop.run_until_complete(channel.close())
        loop.run_until_complete(server.drain(0))
        loop.close()
