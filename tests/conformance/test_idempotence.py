"""Doing it again, and doing it to what is not there."""

from __future__ import annotations

import asyncio

import pytest

from cri.errors import AlreadyExists, NotFound
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, eventually

UNKNOWN = ["0" * 64, "no-such-thing"]


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_stopping_an_unknown_container_succeeds(kit: Kit, unknown: str) -> None:
    """Idempotence: Stop of an unknown container succeeds."""
    await kit.stop(unknown)
    await kit.stop(unknown, timeout=1)


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_removing_an_unknown_container_succeeds(kit: Kit, unknown: str) -> None:
    """Idempotence: Remove of an unknown container succeeds."""
    await kit.remove(unknown)


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_stopping_an_unknown_sandbox_succeeds(kit: Kit, unknown: str) -> None:
    """Idempotence: Stop of an unknown sandbox succeeds."""
    await kit.stop_sandbox(unknown)


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_removing_an_unknown_sandbox_succeeds(kit: Kit, unknown: str) -> None:
    """Idempotence: Remove of an unknown sandbox succeeds."""
    await kit.remove_sandbox(unknown)


@pytest.mark.parametrize("unknown", ["localhost/no/such:image", "sha256:" + "0" * 64])
async def test_removing_an_unknown_image_succeeds(kit: Kit, unknown: str) -> None:
    """Idempotence: Remove of an unknown image succeeds."""
    await kit.remove_image(unknown)


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_the_status_of_an_unknown_container_is_not_found(kit: Kit, unknown: str) -> None:
    """Idempotence: *Status* of an unknown container is NOT_FOUND."""
    with pytest.raises(NotFound):
        await kit.status(unknown)


@pytest.mark.parametrize("unknown", UNKNOWN)
async def test_the_status_of_an_unknown_sandbox_is_not_found(kit: Kit, unknown: str) -> None:
    """Idempotence: *Status* of an unknown sandbox is NOT_FOUND."""
    with pytest.raises(NotFound):
        await kit.sandbox_status(unknown)


@pytest.mark.parametrize("unknown", ["localhost/no/such:image", "sha256:" + "0" * 64])
async def test_the_status_of_a_missing_image_is_an_empty_response(kit: Kit, unknown: str) -> None:
    """Idempotence: ImageStatus of a missing image is an empty response, not an error."""
    answer = await kit.runtime.image_status(v1.ImageStatusRequest(image=v1.ImageSpec(image=unknown)))
    assert not answer.HasField("image")


async def test_a_container_can_be_stopped_and_removed_twice(kit: Kit, sandbox: str) -> None:
    """Idempotence: Stop and Remove again succeed."""
    container_id = await kit.run(sandbox)
    for _ in range(2):
        await kit.stop(container_id)
    for _ in range(2):
        await kit.remove(container_id)
    with pytest.raises(NotFound):
        await kit.status(container_id)


async def test_a_sandbox_can_be_stopped_and_removed_twice(kit: Kit) -> None:
    """Idempotence: Stop and Remove again succeed."""
    sandbox_id = await kit.sandbox()
    for _ in range(2):
        await kit.stop_sandbox(sandbox_id)
    for _ in range(2):
        await kit.remove_sandbox(sandbox_id)
    with pytest.raises(NotFound):
        await kit.sandbox_status(sandbox_id)


async def test_stopping_a_sandbox_kills_its_containers_and_removing_it_removes_them(kit: Kit) -> None:
    """Idempotence: StopPodSandbox kills the member containers too; RemovePodSandbox also removes them."""
    sandbox_id = await kit.sandbox()
    running = await kit.run(sandbox_id)
    created = await kit.create(sandbox_id)
    await kit.stop_sandbox(sandbox_id)
    assert (await kit.status(running)).state == v1.CONTAINER_EXITED
    await kit.remove_sandbox(sandbox_id)
    assert await kit.containers(pod_sandbox_id=sandbox_id) == []
    for gone in (running, created):
        with pytest.raises(NotFound):
            await kit.status(gone)


async def test_removing_a_ready_sandbox_stops_it_first(kit: Kit) -> None:
    """Idempotence: RemovePodSandbox also removes the member containers, running or not."""
    sandbox_id = await kit.sandbox()
    running = await kit.run(sandbox_id)
    await kit.remove_sandbox(sandbox_id)
    with pytest.raises(NotFound):
        await kit.status(running)


async def test_removing_a_running_container_kills_it(kit: Kit, sandbox: str) -> None:
    """Idempotence: Remove succeeds whatever the state."""
    container_id = await kit.run(sandbox)
    await kit.remove(container_id)
    assert await kit.containers(id=container_id) == []


async def test_removals_at_once_all_succeed(kit: Kit) -> None:
    """Idempotence: Stop and Remove of what another call is removing succeed."""
    sandbox_id = await kit.sandbox()
    container_id = await kit.run(sandbox_id)
    removals = (kit.remove(container_id), kit.remove(container_id), kit.remove_sandbox(sandbox_id))
    await asyncio.gather(*removals, kit.remove_sandbox(sandbox_id))
    assert await kit.sandboxes(id=sandbox_id) == []


async def test_the_same_sandbox_again_joins_or_is_told_clearly(kit: Kit) -> None:
    """Idempotence: a retried create with the same metadata joins the one in flight or is told clearly."""
    config = kit.sandbox_config()
    first = await kit.run_sandbox(config)
    try:
        again = await kit.run_sandbox(config)
    except AlreadyExists as error:
        assert first in str(error) or config.metadata.name in str(error)  # noqa: PT017 - joining is fine as well
    else:
        assert again == first


async def test_the_same_sandbox_at_once_is_one_sandbox(kit: Kit) -> None:
    """Idempotence: a retried create with the same metadata joins the one in flight or is told clearly."""
    config = kit.sandbox_config()
    answers = await asyncio.gather(*(kit.run_sandbox(config) for _ in range(3)), return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(error, AlreadyExists) for error in failed), failed
    assert len({answer for answer in answers if isinstance(answer, str)}) == 1


async def test_a_sandboxs_name_is_free_after_its_removal(kit: Kit) -> None:
    """Idempotence: it never leaves the name "reserved"."""
    config = kit.sandbox_config()
    first = await kit.run_sandbox(config)
    await kit.remove_sandbox(first)
    assert await kit.run_sandbox(config) != first


async def test_another_attempt_is_another_sandbox(kit: Kit) -> None:
    """Idempotence: same metadata means name, namespace, uid and attempt."""
    config = kit.sandbox_config()
    first = await kit.run_sandbox(config)
    config.metadata.attempt = 1
    assert await kit.run_sandbox(config) != first


async def test_the_same_container_again_joins_or_is_told_clearly(kit: Kit, sandbox: str) -> None:
    """Idempotence: a retried create with the same metadata joins the one in flight or is told clearly."""
    config = kit.container_config()
    first = await kit.create_container(sandbox, config)
    try:
        again = await kit.create_container(sandbox, config)
    except AlreadyExists as error:
        assert first in str(error) or config.metadata.name in str(error)  # noqa: PT017 - joining is fine as well
    else:
        assert again == first


async def test_the_same_container_at_once_is_one_container(kit: Kit, sandbox: str) -> None:
    """Idempotence: a retried create with the same metadata joins the one in flight or is told clearly."""
    config = kit.container_config()
    creates = (kit.create_container(sandbox, config) for _ in range(3))
    answers = await asyncio.gather(*creates, return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(error, AlreadyExists) for error in failed), failed
    assert len({answer for answer in answers if isinstance(answer, str)}) == 1


async def test_a_create_that_failed_leaves_the_name_free(kit: Kit, sandbox: str) -> None:
    """Idempotence: it never leaves the name "reserved"."""
    config = kit.container_config(image=v1.ImageSpec(image="localhost/no/such:image"))
    with pytest.raises(NotFound):
        await kit.create_container(sandbox, config)
    config.image.image = kit.image
    assert await kit.create_container(sandbox, config)


async def test_a_sandbox_whose_run_was_cancelled_can_be_run(kit: Kit) -> None:
    """Idempotence: it never leaves the name "reserved", and cancelling the call cancels the work."""
    config = kit.sandbox_config()
    running = asyncio.ensure_future(kit.run_sandbox(config))
    await asyncio.wait({running}, timeout=0.02)
    if running.cancel():
        await asyncio.wait({running})

        async def again() -> str:
            try:
                return await kit.run_sandbox(config)
            except AlreadyExists:  # what was cancelled is still being taken back
                return ""

        assert await eventually(again, "the name is free")
