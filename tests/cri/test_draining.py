"""How a server stops."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

import cri
from cri.errors import NotFound, Unavailable
from cri.server import STREAM_GRACE
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import Work, scripted

FOREVER = 3600.0


def refused(answers: Sequence[Any]) -> bool:
    return any(isinstance(answer, Unavailable) for answer in answers)


async def test_a_drain_lets_calls_in_flight_finish_and_refuses_new_ones(address: str) -> None:
    work = Work()
    async with cri.serve(scripted(version=work.version), address) as server, cri.connect(address) as client:
        first = asyncio.create_task(client.version(v1.VersionRequest()))
        await work.begun.wait()
        drained = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="shutting down"):
            await client.status(v1.StatusRequest())
        work.finish.set()
        assert (await first).version == "done"
        await drained


async def test_a_drain_cancels_what_outlasts_the_grace_and_says_unavailable(address: str) -> None:
    work = Work()
    async with cri.serve(scripted(version=work.version), address) as server, cri.connect(address) as client:
        call = asyncio.create_task(client.version(v1.VersionRequest()))
        await work.begun.wait()
        await server.drain(0.1)
        assert work.cleaned.is_set()
        with pytest.raises(Unavailable, match="shutting down"):
            await call


async def test_a_drain_ends_event_streams_long_before_the_grace(address: str) -> None:
    work = Work()
    runtime = scripted(get_container_events=work.events)
    async with cri.serve(runtime, address) as server, cri.connect(address) as client:
        events = client.get_container_events(v1.GetEventsRequest())
        await anext(events)
        await work.begun.wait()
        async with asyncio.timeout(STREAM_GRACE + 10):
            await server.drain(FOREVER)
        assert work.cleaned.is_set()
        with pytest.raises(Unavailable, match="shutting down"):
            await anext(events)


async def test_a_second_drain_shortens_the_first(address: str) -> None:
    work = Work()
    async with cri.serve(scripted(version=work.version), address) as server, cri.connect(address) as client:
        call = asyncio.create_task(client.version(v1.VersionRequest()))
        await work.begun.wait()
        patient = asyncio.create_task(server.drain(FOREVER))
        await asyncio.sleep(0)
        await server.drain(0)
        await patient
        with pytest.raises(Unavailable):
            await call


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains(number: signal.Signals, address: str) -> None:
    work = Work()
    async with cri.serve(scripted(version=work.version), address) as server, cri.connect(address) as client:
        running = asyncio.create_task(server.run_until_signal())
        call = asyncio.create_task(client.version(v1.VersionRequest()))
        await work.begun.wait()
        os.kill(os.getpid(), number)
        while not refused(await asyncio.gather(client.status(v1.StatusRequest()), return_exceptions=True)):
            pass  # each call lets the loop run on, to where the signal is seen
        assert not call.done()
        work.finish.set()
        assert (await call).version == "done"
        assert await running is number


async def test_a_second_signal_ends_what_is_in_flight(address: str) -> None:
    work = Work()
    server = cri.serve(scripted(version=work.version), address, grace=FOREVER)
    async with server, cri.connect(address) as client:
        running = asyncio.create_task(server.run_until_signal())
        call = asyncio.create_task(client.version(v1.VersionRequest()))
        await work.begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Unavailable):
            await call
        assert await running in (signal.SIGTERM, signal.SIGINT)


async def test_leaving_by_an_error_does_not_wait_for_calls(address: str) -> None:
    work = Work()
    calls: list[asyncio.Task[v1.VersionResponse]] = []

    async def fail() -> None:
        async with cri.serve(scripted(version=work.version), address, grace=FOREVER):
            calls.append(asyncio.create_task(client.version(v1.VersionRequest())))
            await work.begun.wait()
            raise NotFound("something else went wrong")

    async with cri.connect(address) as client:
        with pytest.raises(NotFound):
            await fail()
        with pytest.raises(Unavailable):
            await calls[0]


async def test_a_server_that_was_drained_can_be_followed_by_another_at_once(address: str) -> None:
    for _ in range(3):
        async with cri.serve(scripted(), address), cri.connect(address) as client:
            await client.version(v1.VersionRequest())
