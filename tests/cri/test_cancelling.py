"""What ends a call before its work is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

import cri
from cri.errors import DeadlineExceeded, ResourceExhausted
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import Work, raw_channel, scripted

MANY = 5000
"""Calls at once: more than gRPC lets wait for a server by itself."""


async def test_a_caller_that_gives_up_cancels_the_work(address: str) -> None:
    work = Work()
    async with cri.serve(scripted(version=work.version), address), cri.connect(address) as client:
        call = asyncio.create_task(client.version(v1.VersionRequest()))
        await work.begun.wait()
        call.cancel()
        await work.cleaned.wait()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_deadline_of_the_caller_cancels_the_work(address: str) -> None:
    work = Work()
    async with cri.serve(scripted(version=work.version), address), cri.connect(address, timeout=0.2) as client:
        await client.ready(60)
        while not work.begun.is_set():  # a busy server may not have come to it in time
            with pytest.raises(DeadlineExceeded):
                await client.version(v1.VersionRequest())
        await work.cleaned.wait()


async def test_a_caller_that_leaves_a_stream_closes_the_generator_behind_it(address: str) -> None:
    work = Work()
    async with cri.serve(scripted(get_container_events=work.events), address), cri.connect(address) as client:
        events = client.get_container_events(v1.GetEventsRequest())
        assert (await anext(events)).container_id == "1"
        await events.aclose()  # type: ignore[attr-defined]
        await work.cleaned.wait()


async def test_a_stream_is_not_produced_faster_than_it_is_read(address: str) -> None:
    """16 KiB messages: what a slow reader leaves unread fits into the windows of HTTP/2 and the socket, no more."""
    produced = 0

    async def events(request: object) -> AsyncIterator[v1.ContainerEventResponse]:
        nonlocal produced
        for _ in range(4000):
            produced += 1
            yield v1.ContainerEventResponse(container_id="x" * 16384)

    async with cri.serve(scripted(get_container_events=events), address), raw_channel(address) as channel:
        call = channel.unary_stream("/runtime.v1.RuntimeService/GetContainerEvents")(b"")
        await call.read()
        before = -1
        while produced != before:  # until a while passes in which nothing more is produced
            before = produced
            await asyncio.sleep(0.3)
        call.cancel()
    assert produced < 4000


async def test_more_calls_than_allowed_at_once_are_resource_exhausted(address: str) -> None:
    work = Work()
    server = cri.serve(scripted(version=work.version), address, max_concurrent=1)
    async with server, cri.connect(address) as client, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.version(v1.VersionRequest()))
        await work.begun.wait()
        with pytest.raises(ResourceExhausted):
            await client.status(v1.StatusRequest())
        work.finish.set()
        assert (await first).version == "done"


async def test_thousands_of_calls_at_once_are_all_answered(address: str) -> None:
    async with cri.open("fake") as runtime, cri.serve(runtime, address), cri.connect(address) as client:
        answers = await asyncio.gather(*(client.version(v1.VersionRequest()) for _ in range(MANY)))
    assert {answer.runtime_name for answer in answers} == {"fake"}


async def test_of_more_calls_than_a_server_can_look_at_none_is_said_to_be_cancelled(address: str) -> None:
    async with cri.open("fake") as runtime, cri.serve(runtime, address), raw_channel(address) as channel:
        version = channel.unary_unary("/runtime.v1.RuntimeService/Version")
        answers = await asyncio.gather(*(version(b"") for _ in range(MANY)), return_exceptions=True)
    codes = {answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)}
    assert codes <= {grpc.StatusCode.RESOURCE_EXHAUSTED}
