"""The endpoint goes away, and comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

import cri
from cri.errors import DeadlineExceeded, Unavailable, Unknown
from cri.v1 import api_pb2 as v1
from runtimes.remote import RemoteConfig, backend
from tests.cri.scripted import Work, scripted
from tests.runtimes.pods import WITHIN

ASK = v1.VersionRequest()


async def version(request: object) -> v1.VersionResponse:
    return v1.VersionResponse(version="here")


async def test_while_the_endpoint_is_away_a_call_is_unavailable_and_says_why(address: str) -> None:
    async with cri.serve(scripted(version=version), address) as server:
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=0.1))
        async with runtime:
            await server.drain(0)
            async with asyncio.timeout(WITHIN):
                with pytest.raises(Unavailable, match="No such file"):
                    await runtime.version(ASK)


async def test_the_call_after_the_endpoint_came_back_works(address: str) -> None:
    runtime = None
    async with cri.serve(scripted(version=version), address):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=0.1))
    async with runtime:
        for _ in range(5):  # the library waits longer after each attempt
            with pytest.raises(Unavailable):
                await runtime.version(ASK)
        runtime.reconnect_timeout = WITHIN
        async with cri.serve(scripted(version=version), address):
            assert (await runtime.version(ASK)).version == "here"


async def test_a_call_waits_for_an_endpoint_that_restarts(address: str) -> None:
    async with cri.serve(scripted(version=version), address):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=WITHIN))
    async with runtime:
        call = asyncio.create_task(runtime.version(ASK))
        done, _ = await asyncio.wait([call], timeout=0.3)
        assert not done
        async with cri.serve(scripted(version=version), address):
            assert (await call).version == "here"


async def initializing(request: object) -> v1.VersionResponse:
    raise Unknown("server is not initialized yet")


async def test_a_call_waits_for_an_endpoint_that_listens_before_it_serves(address: str) -> None:
    """containerd does, while it restores what it knows."""
    asked = itertools.count()

    async def starting(request: object) -> v1.VersionResponse:
        return await (initializing if next(asked) < 3 else version)(request)

    async with cri.serve(scripted(version=version), address):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=WITHIN))
    async with runtime, cri.serve(scripted(version=starting), address):
        assert (await runtime.version(ASK)).version == "here"


async def test_an_endpoint_that_goes_on_starting_is_unavailable(address: str) -> None:
    async with cri.serve(scripted(version=version), address):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=0.2))
    async with runtime, cri.serve(scripted(version=initializing), address):
        with pytest.raises(Unavailable, match="is starting"):
            await runtime.version(ASK)


async def test_a_wait_is_never_longer_than_the_calls_own_deadline(address: str) -> None:
    async with cri.serve(scripted(version=version), address):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=600))
    runtime.timeout = 0.2
    async with runtime, asyncio.timeout(WITHIN):
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await runtime.version(ASK)


async def test_an_endpoint_that_is_away_is_a_condition_in_status(address: str) -> None:
    """As CRI has it for every runtime; the kubelet reads it there."""
    async with cri.serve(scripted(version=version), address):
        runtime = await backend.open(RemoteConfig(address=address, reconnect_timeout=0))
    async with runtime:
        conditions = (await runtime.status(v1.StatusRequest())).status.conditions
    assert {(one.type, one.status, one.reason) for one in conditions} == {
        ("RuntimeReady", False, "EndpointUnavailable"),
        ("NetworkReady", False, "EndpointUnavailable"),
    }


async def test_an_event_stream_ends_with_unavailable_when_the_endpoint_goes(address: str) -> None:
    async def events(request: object) -> AsyncIterator[v1.ContainerEventResponse]:
        yield v1.ContainerEventResponse(container_id="first")
        await asyncio.Event().wait()

    async with (
        cri.serve(scripted(version=version, get_container_events=events), address) as server,
        await backend.open(RemoteConfig(address=address)) as runtime,
    ):
        heard = runtime.get_container_events(v1.GetEventsRequest())
        assert (await anext(heard)).container_id == "first"
        ending = asyncio.create_task(server.drain(0))
        with pytest.raises(Unavailable):
            await anext(heard)
        await ending


async def test_a_call_that_the_endpoint_does_not_answer_in_time_is_deadline_exceeded(address: str) -> None:
    work = Work()

    async def listing(request: object) -> v1.ListContainersResponse:
        await work.version(ASK)
        return v1.ListContainersResponse()

    async with (
        cri.serve(scripted(version=version, list_containers=listing), address, grace=0),
        await backend.open(RemoteConfig(address=address)) as runtime,
    ):
        runtime.timeout = 0.3
        with pytest.raises(DeadlineExceeded):
            await runtime.list_containers(v1.ListContainersRequest())
        await work.cleaned.wait()


async def test_a_pull_has_a_deadline_only_where_one_was_asked_for(address: str) -> None:
    work = Work()

    async def pull(request: object) -> v1.PullImageResponse:
        await work.version(ASK)
        return v1.PullImageResponse(image_ref="late")

    async with cri.serve(scripted(version=version, pull_image=pull), address, grace=0):
        async with await backend.open(RemoteConfig(address=address)) as patient:
            patient.timeout = 0.1
            call = asyncio.create_task(patient.pull_image(v1.PullImageRequest()))
            done, _ = await asyncio.wait([call], timeout=0.5)
            assert not done
            work.finish.set()
            assert (await call).image_ref == "late"
        work.finish.clear()
        async with await backend.open(RemoteConfig(address=address, pull_timeout=0.3)) as hasty:
            with pytest.raises(DeadlineExceeded):
                await hasty.pull_image(v1.PullImageRequest())
