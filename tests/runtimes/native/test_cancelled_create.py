"""Creates that are given up, on native: what holds for every engine, and that nothing is left."""

import asyncio
from itertools import count
from pathlib import Path

from runtimes.native.config import NativeConfig
from runtimes.native.places import Places
from runtimes.native.recovery import mounts_below
from tests.runtimes.behaviour.cancelled_create import *  # noqa: F403
from tests.runtimes.pods import Pod

STEP = 0.0003
"""Seconds by which a create comes further before it is given up."""


def held(places: Places) -> set[Path]:
    """What containers have on the host."""
    return {*places.containers.iterdir(), *places.snapshots.iterdir(), *mounts_below(places.root.parent)}


async def test_a_create_leaves_nothing_however_far_it_had_come(pod: Pod, config: NativeConfig) -> None:
    places = Places.of(config)
    await pod.remove(await pod.create("true"))
    before = held(places)
    for number in count():
        creating = asyncio.ensure_future(pod.create("true"))
        await asyncio.wait({creating}, timeout=number * STEP)
        if not creating.cancel():
            break
        await asyncio.wait({creating})
        assert held(places) == before, number
    assert held(places) != before
