"""Time: the host's, or a test's own."""

from __future__ import annotations

import asyncio

import pytest

from runtimes.fake.clock import Clock, ManualClock, RealClock


async def test_sleepers_wake_in_the_order_of_their_deadlines_each_at_its_own_time() -> None:
    clock = ManualClock()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        for seconds in (30, 10, 20):
            group.create_task(sleeper(seconds))
        await clock.advance(100)
    assert woken == [10, 20, 30]
    assert clock.monotonic() == 100


async def test_a_sleeper_stays_asleep_until_its_time() -> None:
    clock = ManualClock()
    asleep = asyncio.ensure_future(clock.sleep(10))
    await clock.advance(9.9)
    assert not asleep.done()
    await clock.advance(0.1)
    assert asleep.done()


async def test_what_a_woken_sleeper_starts_gets_its_turn_within_the_same_advance() -> None:
    clock = ManualClock()

    async def twice() -> None:
        await clock.sleep(1)
        await clock.sleep(1)

    task = asyncio.ensure_future(twice())
    await clock.advance(2)
    assert task.done()


async def test_no_time_at_all_is_slept_at_once() -> None:
    await ManualClock().sleep(0)


@pytest.mark.parametrize("clock", [ManualClock(), RealClock()], ids=["manual", "real"])
def test_two_readings_are_never_equal(clock: Clock) -> None:
    readings = [clock.now_ns() for _ in range(100)]
    assert len(set(readings)) == 100
    assert readings == sorted(readings)


async def test_within_says_whether_it_was_done_and_leaves_it_running() -> None:
    clock = ManualClock()
    waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asking = asyncio.ensure_future(clock.within(waited, 5))
    await clock.advance(5)
    assert not await asking
    assert not waited.cancelled()
    waited.set_result(None)
    assert await clock.within(waited, 5)
