"""A fake with a clock that only the test moves, and the calls that tests make again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtimes.fake.clock import ManualClock
from runtimes.fake.runtime import FakeRuntime
from tests.runtimes.fake.calls import Calls


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """A closed fake has no task any more."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(no_task_left: None, clock: ManualClock) -> AsyncIterator[FakeRuntime]:
    async with FakeRuntime.open(clock=clock) as runtime:
        yield runtime


@pytest.fixture
async def calls(runtime: FakeRuntime, tmp_path: Path) -> Calls:
    """With busybox pulled and logs below the test's own folder."""
    calls = Calls(runtime, tmp_path)
    await calls.pull("busybox")
    return calls
