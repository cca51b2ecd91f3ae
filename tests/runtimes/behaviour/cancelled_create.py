"""A client that gives up while its sandbox or container is made, and tries again: tests that each engine's package
takes in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from cri.v1 import api_pb2 as v1
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.pods import Pod

AFTER = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1]
"""Seconds that a client waits before it gives up."""


async def gave_up(making: Awaitable[str], after: float) -> bool:
    """Wait for ``making`` so long and then no longer; whether that was before it was made. Raises what went wrong."""
    task = asyncio.ensure_future(making)
    await asyncio.wait({task}, timeout=after)
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return task.cancelled()


@pytest.mark.parametrize("after", AFTER)
async def test_a_container_whose_create_was_cancelled_can_be_created(pod: Pod, after: float) -> None:
    # What is read once of an image would take the time of the first create.
    await pod.remove(await pod.create("true"))
    if await gave_up(pod.create("true"), after):
        assert not (await pod.runtime.list_containers(v1.ListContainersRequest())).containers
        assert await pod.create("true")


@pytest.mark.parametrize("after", AFTER)
async def test_a_sandbox_whose_run_was_cancelled_can_be_run(pod: Pod, run_sandbox: RunSandbox, after: float) -> None:
    if await gave_up(run_sandbox("given-up"), after):
        there = (await pod.runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items
        assert [each.id for each in there] == [pod.sandbox_id]
        assert await run_sandbox("given-up")
