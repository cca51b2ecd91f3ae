"""StopContainer: which signal, how often, how long, and what then."""

from __future__ import annotations

import asyncio
import time

import pytest

from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, shell
from tests.conformance.registry import Image, Registry


def trapping(*signals: str, then: str = "exit 7") -> tuple[str, ...]:
    """A command that says which signal it got, says ``ready`` once it would, and goes on until killed."""
    traps = "; ".join(f"trap 'echo got {each}; {then}' {each}" for each in signals)
    return shell(f"{traps}; echo ready; while :; do sleep 86400 & wait $!; done")


IGNORING = trapping("TERM", then=":")


async def ready(kit: Kit, sandbox: str, *command: str, **fields: object) -> str:
    container_id = await kit.run(sandbox, *command, **fields)
    await kit.logged(container_id, b"ready")
    return container_id


async def heard(kit: Kit, container_id: str) -> list[bytes]:
    return [record.text for record in await kit.log(container_id) if record.text.startswith(b"got")]


async def test_the_usual_stop_signal_is_term(kit: Kit, sandbox: str) -> None:
    """Stop: the image's or the config's stop signal."""
    container_id = await ready(kit, sandbox, *trapping("TERM", "USR1"))
    await kit.stop(container_id, timeout=60)
    assert (await kit.status(container_id)).exit_code == 7
    assert await heard(kit, container_id) == [b"got TERM"]


async def test_the_configs_stop_signal_is_sent(kit: Kit, sandbox: str) -> None:
    """Stop: the config's stop signal."""
    container_id = await ready(kit, sandbox, *trapping("TERM", "USR1"), stop_signal=v1.SIGNAL_SIGUSR1)
    await kit.stop(container_id, timeout=60)
    assert await heard(kit, container_id) == [b"got USR1"]


@pytest.fixture
def quitting_image(local_registry: Registry) -> str:
    """The reference of an image that wants SIGQUIT."""
    local_registry.push("conformance/quitting", Image(stop_signal="SIGQUIT"))
    return f"{local_registry.host}/conformance/quitting:latest"


@pytest.mark.needs("registry")
async def test_the_images_stop_signal_is_sent(kit: Kit, sandbox: str, quitting_image: str) -> None:
    """Stop: the image's stop signal."""
    await kit.pull(quitting_image)
    image = v1.ImageSpec(image=quitting_image)
    container_id = await ready(kit, sandbox, *trapping("TERM", "QUIT"), image=image)
    await kit.stop(container_id, timeout=60)
    assert await heard(kit, container_id) == [b"got QUIT"]


@pytest.mark.needs("registry")
async def test_the_configs_stop_signal_goes_over_the_images(kit: Kit, sandbox: str, quitting_image: str) -> None:
    """Stop: the image's or the config's stop signal; what is asked for explicitly wins."""
    await kit.pull(quitting_image)
    image = v1.ImageSpec(image=quitting_image)
    command = trapping("TERM", "QUIT")
    container_id = await ready(kit, sandbox, *command, image=image, stop_signal=v1.SIGNAL_SIGTERM)
    await kit.stop(container_id, timeout=60)
    assert await heard(kit, container_id) == [b"got TERM"]


async def test_a_stop_returns_when_the_container_has_exited(kit: Kit, sandbox: str) -> None:
    """Stop: the timeout is the longest wait, not the usual one."""
    container_id = await ready(kit, sandbox, *trapping("TERM"))
    begun = time.monotonic()
    await kit.stop(container_id, timeout=600)
    assert time.monotonic() - begun < 60
    assert (await kit.status(container_id)).state == v1.CONTAINER_EXITED


async def test_the_stop_signal_is_sent_once_and_then_kill_after_the_timeout(kit: Kit, sandbox: str) -> None:
    """Stop: the stop signal, once; then SIGKILL after the timeout."""
    container_id = await ready(kit, sandbox, *IGNORING)
    begun = time.monotonic()
    # Time enough to hear the signal, also on a busy host.
    await asyncio.gather(kit.stop(container_id, timeout=3), kit.stop(container_id, timeout=4))
    assert 2.9 <= time.monotonic() - begun < 30
    assert (await kit.status(container_id)).exit_code == 137
    assert await heard(kit, container_id) == [b"got TERM"]


async def test_a_timeout_of_zero_kills_at_once(kit: Kit, sandbox: str) -> None:
    """Stop: timeout 0 is SIGKILL at once."""
    container_id = await ready(kit, sandbox, *IGNORING)
    begun = time.monotonic()
    await kit.stop(container_id, timeout=0)
    assert time.monotonic() - begun < 10
    assert (await kit.status(container_id)).exit_code == 137
    assert await heard(kit, container_id) == []


@pytest.mark.parametrize("later", [0, 1])
async def test_a_later_call_with_a_shorter_timeout_shortens_the_wait(kit: Kit, sandbox: str, later: int) -> None:
    """Stop: a later call with a shorter timeout shortens the wait."""
    container_id = await ready(kit, sandbox, *IGNORING)
    first = asyncio.ensure_future(kit.stop(container_id, timeout=600))
    await kit.logged(container_id, b"got TERM")
    await kit.stop(container_id, timeout=later)
    async with asyncio.timeout(60):
        await first
    assert (await kit.status(container_id)).exit_code == 137
    assert await heard(kit, container_id) == [b"got TERM"]


async def test_a_stop_that_is_cancelled_does_not_kill(kit: Kit, sandbox: str) -> None:
    """Stop: SIGKILL after the timeout, and cancelling the call cancels the work."""
    container_id = await ready(kit, sandbox, *IGNORING)
    stopping = asyncio.ensure_future(kit.stop(container_id, timeout=600))
    await kit.logged(container_id, b"got TERM")
    stopping.cancel()
    await asyncio.wait({stopping})
    assert (await kit.status(container_id)).state == v1.CONTAINER_RUNNING
    await kit.stop(container_id, timeout=0)
    assert (await kit.status(container_id)).state == v1.CONTAINER_EXITED


async def test_stopping_a_container_that_exited_changes_nothing(kit: Kit, sandbox: str) -> None:
    """Idempotence: Stop succeeds; Reasons: how it ended stays."""
    container_id = await kit.run(sandbox, *shell("exit 3"))
    before = await kit.exited(container_id)
    await kit.stop(container_id, timeout=5)
    assert await kit.status(container_id) == before


async def test_stopping_a_created_container_succeeds(kit: Kit, sandbox: str) -> None:
    """Idempotence: Stop succeeds; nothing ran, so nothing is killed."""
    container_id = await kit.create(sandbox)
    await kit.stop(container_id, timeout=5)
    assert (await kit.status(container_id)).state in (v1.CONTAINER_CREATED, v1.CONTAINER_EXITED)
