"""Stopping on a real engine: tests that each engine's package takes in."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cri.v1 import api_pb2 as v1
from tests.host import images
from tests.runtimes.behaviour.hand import EngineHand
from tests.runtimes.pods import WITHIN, Pod

STUBBORN = "trap 'echo {0}' {0}; echo ready; while true; do sleep 0.05; done"
OBEDIENT = "trap 'echo {0}; exit 3' {0}; echo ready; while true; do sleep 0.05; done"
HEARD = 3
"""Seconds in which a container hears a signal on a busy host as well."""


async def stubborn(pod: Pod) -> str:
    """A container that says that it got the signal and lives on."""
    container_id = await pod.run(STUBBORN.format("TERM"))
    await pod.logged(b"ready")
    return container_id


async def obedient(pod: Pod, signal: str = "TERM", **fields: Any) -> str:
    """A container that says which signal it got and ends."""
    container_id = await pod.run(OBEDIENT.format(signal), **fields)
    await pod.logged(b"ready")
    return container_id


async def test_one_signal_then_the_kill(pod: Pod) -> None:
    container_id = await stubborn(pod)
    began = time.monotonic()
    await pod.stop(container_id, timeout=HEARD)
    assert HEARD <= time.monotonic() - began < WITHIN
    assert (await pod.status(container_id)).exit_code == 137
    assert pod.texts() == [b"ready", b"TERM"]


async def test_one_that_obeys_is_not_waited_for(pod: Pod) -> None:
    container_id = await obedient(pod)
    began = time.monotonic()
    await pod.stop(container_id, timeout=600)
    assert time.monotonic() - began < WITHIN
    assert (await pod.status(container_id)).exit_code == 3


async def test_a_shorter_timeout_later_shortens_the_wait_and_sends_no_second_signal(pod: Pod) -> None:
    container_id = await stubborn(pod)
    began = time.monotonic()
    first = asyncio.ensure_future(pod.stop(container_id, timeout=600))
    await pod.logged(b"TERM")
    await pod.stop(container_id, timeout=1)
    await first
    assert time.monotonic() - began < WITHIN
    assert pod.texts() == [b"ready", b"TERM"]


async def test_a_longer_timeout_later_does_not_lengthen_the_wait(pod: Pod) -> None:
    container_id = await stubborn(pod)
    first = asyncio.ensure_future(pod.stop(container_id, timeout=HEARD))
    await pod.logged(b"TERM")
    began = time.monotonic()
    await pod.stop(container_id, timeout=600)
    await first
    assert time.monotonic() - began < WITHIN


async def test_a_timeout_of_zero_later_kills_at_once(pod: Pod) -> None:
    container_id = await stubborn(pod)
    first = asyncio.ensure_future(pod.stop(container_id, timeout=600))
    await pod.logged(b"TERM")
    await pod.stop(container_id)
    await first
    assert (await pod.status(container_id)).exit_code == 137


async def test_a_stop_that_is_given_up_neither_kills_nor_signals_again_when_repeated(pod: Pod) -> None:
    container_id = await stubborn(pod)
    first = asyncio.ensure_future(pod.stop(container_id, timeout=600))
    await pod.logged(b"TERM")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await pod.status(container_id)).state == v1.CONTAINER_RUNNING
    await pod.stop(container_id, timeout=1)
    assert pod.texts() == [b"ready", b"TERM"]


async def test_the_configs_signal_is_sent(pod: Pod) -> None:
    container_id = await obedient(pod, "USR1", stop_signal=v1.SIGNAL_SIGUSR1)
    assert (await pod.status(container_id)).stop_signal == v1.SIGNAL_SIGUSR1
    await pod.stop(container_id, timeout=600)
    assert pod.texts() == [b"ready", b"USR1"]


async def test_the_images_signal_is_sent_where_the_config_has_none(pod: Pod, hand: EngineHand) -> None:
    hand.load(images.docker_archive("localhost/stopping:int", image=images.Image(stop_signal="SIGINT")))
    try:
        container_id = await obedient(pod, "INT", image="localhost/stopping:int")
        assert (await pod.status(container_id)).stop_signal == v1.SIGNAL_SIGINT
        await pod.stop(container_id, timeout=600)
        assert pod.texts() == [b"ready", b"INT"]
        await pod.remove(container_id)
    finally:
        hand.remove_image("localhost/stopping:int")


async def test_a_paused_container_is_resumed_to_hear_its_signal(pod: Pod, hand: EngineHand) -> None:
    container_id = await obedient(pod)
    hand.pause(container_id)
    await pod.stop(container_id, timeout=600)
    assert (await pod.status(container_id)).exit_code == 3
    assert pod.texts() == [b"ready", b"TERM"]


async def test_a_paused_container_is_killed_at_once_too(pod: Pod, hand: EngineHand) -> None:
    container_id = await stubborn(pod)
    hand.pause(container_id)
    await pod.stop(container_id)
    assert (await pod.status(container_id)).state == v1.CONTAINER_EXITED


async def test_one_that_was_never_started_stays_created(pod: Pod) -> None:
    container_id = await pod.create("true")
    await pod.stop(container_id, timeout=5)
    assert (await pod.status(container_id)).state == v1.CONTAINER_CREATED


async def test_a_container_that_is_removed_while_it_is_stopped_is_stopped(pod: Pod) -> None:
    container_id = await stubborn(pod)
    stop = asyncio.ensure_future(pod.stop(container_id, timeout=600))
    await pod.logged(b"TERM")
    await pod.remove(container_id)
    await asyncio.wait_for(stop, WITHIN)


async def test_a_very_long_timeout_is_a_timeout(pod: Pod) -> None:
    container_id = await obedient(pod)
    await pod.stop(container_id, timeout=2**62)
    assert (await pod.status(container_id)).exit_code == 3
