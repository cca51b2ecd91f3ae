"""Sandboxes come and go through ``minicri serve``: nothing of them is left, in the server, the engine or the file
system. What the server holds is compared with what it held after a round of the same before."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cri.annotations import NETWORK
from cri.errors import Unavailable
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import RUN_LABEL, Kit, eventually
from tests.e2e.engines import Configured
from tests.e2e.hearing import Heard, listening
from tests.e2e.held import looked_into
from tests.e2e.owners import DockerOwner, Owner, PodmanOwner, cgroups_of
from tests.e2e.test_serve import driving
from tests.orchestrator.commands import PATIENCE

SANDBOXES = {"docker": 200, "podman": 40}
"""Lives of Podman's are slower: all 200 of them take minutes. ``MINICRI_LEAK_SANDBOXES`` is a number for both."""
WARM_UP = 40
AT_ONCE = 8
ON_A_NETWORK = 8
"""One sandbox of so many has a network of its own, and a command run in its container."""

MEMORY = 8.0
"""Megabytes that the server may grow by in a round: allocators keep what they will need again, and each round of
threads and buffers falls a little differently. A leak of only 64 KiB for each sandbox is beyond it."""
OBJECTS = 0.02
"""Growth of the number of Python objects that is still no leak of one for each sandbox."""


async def round_of(kit: Kit, sandboxes: int) -> None:
    """So many lives, ``AT_ONCE`` at a time."""
    numbers = iter(range(sandboxes))

    async def worker() -> None:
        for number in numbers:
            await life(kit, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


async def life(kit: Kit, number: int) -> None:
    special = number % ON_A_NETWORK == 0
    name = f"leak-{number}"
    config = kit.sandbox_config(
        annotations={NETWORK: f"minicri-test-{name}"} if special else {}, log_directory=str(kit.folder / "logs" / name)
    )
    request = v1.RunPodSandboxRequest(config=config)
    sandbox_id = (await kit.runtime.run_pod_sandbox(request)).pod_sandbox_id
    try:
        await _use(kit, number, sandbox_id, config)
    finally:  # others use the engine as well
        await kit.stop_sandbox(sandbox_id)
        await kit.remove_sandbox(sandbox_id)


async def _use(kit: Kit, number: int, sandbox_id: str, config: v1.PodSandboxConfig) -> None:
    container = kit.container_config("sh", "-c", "echo begun; exec sleep 86400")
    created = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=container, sandbox_config=config)
    container_id = (await kit.runtime.create_container(created)).container_id
    try:
        await kit.start(container_id)
    except Unavailable:  # as a monitor of containerd's that ended before it began is told; a kubelet tries again, too
        await kit.start(container_id)
    if number % ON_A_NETWORK == 0:
        assert (await kit.exec(container_id, "true")).exit_code == 0
        await kit.runtime.container_stats(v1.ContainerStatsRequest(container_id=container_id))
    if number % 2:
        await kit.stop(container_id)
        await kit.remove(container_id)


def number_of_sandboxes(engine: str) -> int:
    return int(os.environ.get("MINICRI_LEAK_SANDBOXES") or SANDBOXES[engine])


def files(engine: Configured) -> set[str]:
    """All below the server's folder but the logs, which are the client's."""
    return {str(path) for path in engine.folder.rglob("*") if "logs" not in path.parts}


@pytest.fixture(params=SANDBOXES)
def lasting(
    request: pytest.FixtureRequest, short_folder: Path, backend_settings: Callable[[str], dict[str, object]]
) -> tuple[Configured, Owner]:
    """A configuration for each engine that outlives the server, and how that engine is looked at."""
    configured = Configured(short_folder, request.param, backend_settings(request.param))
    if request.param == "docker":
        return configured, DockerOwner(request.getfixturevalue("docker_engine"))
    return configured, PodmanOwner(request.getfixturevalue("podman_engine"))


@pytest.mark.timeout(900)
async def test_sandboxes_that_came_and_went_leave_nothing_behind(lasting: tuple[Configured, Owner]) -> None:
    engine, owner = lasting
    sandboxes = number_of_sandboxes(engine.runtime)
    # So few threads and connections that the first round makes all of them: what comes after is a leak.
    with engine.file.open("a") as file:
        file.write(f"\nmax_threads = {AT_ONCE}\n")
    had = await asyncio.to_thread(owner.has)
    with looked_into(engine) as server:
        await eventually(server.serves, "it serves")
        async with driving(engine) as kit, listening(kit) as heard:
            await round_of(kit, WARM_UP)
            await all_told(heard, kit, WARM_UP)
            before, files_before = await server.held(), files(engine)
            begun = time.monotonic()
            await round_of(kit, sandboxes)
            seconds = time.monotonic() - begun
            await all_told(heard, kit, WARM_UP + sandboxes)

            async def nothing_more() -> bool:
                return not (await server.held()).more_than(before)

            with suppress(AssertionError):
                await eventually(nothing_more)
            after = await server.held()
            assert after.more_than(before) == {}
            assert files(engine) == files_before
            grown = after.objects - before.objects
            assert grown.total() < before.objects.total() * OBJECTS, grown.most_common(10)
            assert after.megabytes - before.megabytes < MEMORY, (before.megabytes, after.megabytes)
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, PATIENCE) == 0

    async def tidy() -> bool:
        return not (await asyncio.to_thread(owner.has)).beyond(had) and not await asyncio.to_thread(cgroups_of, ids)

    ids = {event.container_id for event in heard.events}
    with suppress(AssertionError):  # monitors and shims may be at their end
        await eventually(tidy)
    assert (await asyncio.to_thread(owner.has)).beyond(had) == Counter()
    assert await asyncio.to_thread(cgroups_of, ids) == []
    assert "Traceback" not in (engine.folder / "serve.log").read_text()
    growth = f"{after.megabytes - before.megabytes:+.1f} MB, {grown.total()} objects"
    print(f"{sandboxes} sandboxes in {seconds:.0f} s, {growth}")


async def all_told(heard: Heard, kit: Kit, lives: int) -> None:
    """Return once four events of each sandbox and of each container were heard; the last may be on their way."""

    def ours() -> Counter[str]:
        labelled = (each for each in heard.events if each.pod_sandbox_status.labels[RUN_LABEL] == kit.label)
        return Counter(v1.ContainerEventType.Name(each.container_event_type) for each in labelled)

    async def look() -> bool:
        return ours().total() >= 8 * lives

    with suppress(AssertionError):
        await eventually(look)
    assert ours() == dict.fromkeys(ours(), 2 * lives)
