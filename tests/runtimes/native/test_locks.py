"""Locks on objects."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from runtimes.native.locks import Locks


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return Locks(tmp_path / "run" / "locks")


async def test_one_at_a_time_holds_an_object(locks: Locks) -> None:
    async with locks.hold("container", "a"):
        with locks.try_hold("container", "a") as ours:
            assert not ours
    with locks.try_hold("container", "a") as ours:
        assert ours


async def test_other_objects_are_free_meanwhile(locks: Locks) -> None:
    async with locks.hold("container", "a"):
        with locks.try_hold("container", "b") as ours, locks.try_hold("sandbox", "a") as theirs:
            assert ours
            assert theirs


async def test_who_waits_gets_it_next(locks: Locks) -> None:
    order = []

    async def work(name: str) -> None:
        async with locks.hold("container", "a"):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(work("1"), work("2"), work("3"))
    assert [line.split()[1] for line in order] == ["in", "out"] * 3


def test_a_lock_is_free_when_its_process_was_killed(locks: Locks) -> None:
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        with locks.try_hold("container", "a"):
            os.write(told, b"!")
            signal.pause()
    os.read(ready, 1)
    with locks.try_hold("container", "a") as ours:
        assert not ours
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with locks.try_hold("container", "a") as ours:
        assert ours
    os.close(ready)
    os.close(told)
