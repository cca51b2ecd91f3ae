from __future__ import annotations

import asyncio

import pytest

from cri.errors import Aborted
from runtimes.shared.inflight import InFlight, uninterrupted


class Work:
    """Work that ends when told, and counts."""

    def __init__(self) -> None:
        self.begun = 0
        self.undone = 0
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        self.started.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.undone += 1
            raise
        return "made"


async def test_the_same_request_joins_the_one_in_flight() -> None:
    flights: InFlight[str] = InFlight()
    work = Work()
    first = asyncio.ensure_future(flights.run("web", b"x", work))
    second = asyncio.ensure_future(flights.run("web", b"x", work))
    await asyncio.sleep(0)
    work.go_on.set()
    assert (await first, await second) == ("made", "made")
    assert work.begun == 1


async def test_another_request_for_the_same_name_is_aborted() -> None:
    flights: InFlight[str] = InFlight()
    work = Work()
    first = asyncio.ensure_future(flights.run("web", b"x", work))
    await asyncio.sleep(0)
    with pytest.raises(Aborted, match="web"):
        await flights.run("web", b"y", work)
    work.go_on.set()
    await first


async def test_the_work_goes_on_while_somebody_waits_for_it() -> None:
    flights: InFlight[str] = InFlight()
    work = Work()
    first = asyncio.ensure_future(flights.run("web", b"x", work))
    second = asyncio.ensure_future(flights.run("web", b"x", work))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    work.go_on.set()
    assert await second == "made"


async def test_the_work_is_cancelled_with_the_last_that_waits() -> None:
    flights: InFlight[str] = InFlight()
    work = Work()
    first = asyncio.ensure_future(flights.run("web", b"x", work))
    await work.started.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert work.undone == 1
    assert "web" not in flights


async def test_a_name_is_free_again_after_a_failure() -> None:
    async def fail() -> str:
        raise ValueError("no")

    async def succeed() -> str:
        return "made"

    flights: InFlight[str] = InFlight()
    with pytest.raises(ValueError, match="no"):
        await flights.run("web", b"x", fail)
    assert await flights.run("web", b"y", succeed) == "made"


async def test_uninterrupted_work_ends_before_the_cancellation_is_heard() -> None:
    work = Work()
    caller = asyncio.ensure_future(uninterrupted(work()))
    await work.started.wait()
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.undone == 0


async def test_a_request_that_comes_while_the_work_is_taken_back_begins_anew() -> None:
    async def work() -> str:
        begun.append("")
        started.set()
        try:
            await go_on.wait()
        finally:
            await asyncio.sleep(0)  # to take back takes a moment
        return "made"

    flights: InFlight[str] = InFlight()
    begun: list[str] = []
    started, go_on = asyncio.Event(), asyncio.Event()
    first = asyncio.ensure_future(flights.run("web", b"x", work))
    await started.wait()
    first.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await flights.run("web", b"x", work) == "made"
    assert len(begun) == 2
    assert first.cancelled()
