"""What is left of the store after a crash at any moment: what was whole, and nothing half made."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from cri.v1 import api_pb2 as v1
from tests.host import images
from tests.runtimes.native.images import crash, kit
from tests.runtimes.native.images.conftest import mounts_below
from tests.runtimes.native.images.kit import Engine, Item, Layered
from tests.runtimes.native.images.scripted_registry import scripted_registry
from tests.runtimes.native.mortal import die, mortal

STRIDE = 199
"""Lines of code between two moments at which the store dies: a prime, so that no loop is met at one place only."""

CRASH = "tests.runtimes.native.images.crash"
PULL = """
import asyncio, sys
from pathlib import Path
from cri import progress
from cri.v1 import api_pb2 as v1
from tests.runtimes.native.images.kit import Engine

request = v1.PullImageRequest(image=v1.ImageSpec(image=sys.argv[2]))
with progress.listening(lambda step: print(step.current, flush=True) if step.current > 1 << 20 else None):
    asyncio.run(Engine(Path(sys.argv[1])).images.pull(request))
"""
"""Says how far it is once it has a MiB of a layer."""


async def check(engine: Engine) -> None:
    """Each image is there whole or not at all, and what is used has stayed."""
    listed = await engine.images.list(v1.ImageFilter())
    assert {tag for image in listed for tag in image.repo_tags} >= {"localhost/stays:1"}
    for image in listed:
        record = engine.images.find(image.id)
        assert record
        seen = await engine.snapshots.mount("seen", record, engine.places.container("seen") / "rootfs")
        files = {str(path.relative_to(seen)) for path in seen.rglob("*") if path.is_file()}
        assert files in ({"etc/stays"}, {"etc/new", "twin"}, {"d/f"})
        await engine.snapshots.unmount("seen")


async def recovered(base: Path) -> Engine:
    """As an engine that starts does it."""
    engine = Engine(base)
    await engine.snapshots.recover(lambda: {"stays"})
    await engine.images.recover()
    return engine


async def test_a_crash_at_any_moment_leaves_nothing_and_takes_nothing_away(base: Path, tmp_path: Path) -> None:
    crash.make(tmp_path)
    with kit.engine(base) as first:
        (stays,) = await first.images.import_(kit.layout(tmp_path / "stays", ("localhost/stays:1", crash.STAYS)))
        used = await first.snapshots.mount("stays", stays, first.places.container("stays") / "rootfs")
    moments = itertools.count(1, STRIDE)
    with mortal(CRASH, tmp_path) as process:
        while (end := die(process, number := next(moments))) == "killed":
            engine = await recovered(base)
            try:
                assert (number, mounts_below(base)) == (number, [str(used)])
                assert engine.left()["arrivals"] == []
                assert engine.left()["snapshots"] == ["stays"]
                await check(engine)
                for image in await engine.images.list(v1.ImageFilter()):
                    if image.id != stays.id:
                        await engine.images.remove(v1.ImageSpec(image=image.id))
                assert engine.left()["layers"] == [layer.name for layer in stays.layers]
                assert engine.rows("layers") == 1
            finally:
                engine.close()
    assert end == "done"
    assert number > 10 * STRIDE


async def test_a_pull_whose_process_is_killed_leaves_nothing(base: Path) -> None:
    """Half a layer is there, and the registry would keep everybody waiting for the rest."""
    large = Layered([*crash.STAYS.layers, kit.layer(Item("large", os.urandom(8 << 20)))])
    async with scripted_registry() as registry:
        registry.add("x", large)
        registry.held.add(images.digest(large.layers[1]))
        name = f"{registry.host}/x"
        puller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PULL, str(base), name, stdout=asyncio.subprocess.PIPE
        )
        assert puller.stdout
        await puller.stdout.readline()
        helpers = [os.pidfd_open(pid) for pid in children(puller.pid)]
        puller.kill()
        await puller.wait()
        assert helpers
        for helper in helpers:
            await ended(helper)
        engine = await recovered(base)
        engine.require_empty()
        engine.close()


async def test_what_another_process_brings_in_is_not_swept_away(base: Path) -> None:
    async with scripted_registry() as registry:
        registry.add("x", crash.COMES)
        registry.held.add(images.digest(crash.COMES.layers[1]))
        with kit.engine(base) as one, kit.engine(base) as other:
            request = v1.PullImageRequest(image=v1.ImageSpec(image=f"{registry.host}/x"))
            pull = asyncio.create_task(one.images.pull(request))
            await registry.waiting.wait()
            await other.images.recover()
            assert len(other.left()["arrivals"]) == 1
            registry.released.set()
            assert await pull == crash.COMES.id


def children(pid: int) -> list[int]:
    return [
        int(child) for each in Path(f"/proc/{pid}/task").iterdir() for child in (each / "children").read_text().split()
    ]


async def ended(process: int) -> None:
    """Until the process of a pidfd has ended."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process, over.set)
    await over.wait()
    loop.remove_reader(process)
    os.close(process)
