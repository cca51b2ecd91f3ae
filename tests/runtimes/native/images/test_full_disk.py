"""A disk that is full: what asked for too much fails, and all else stays as it was."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from cri.errors import ResourceExhausted
from cri.v1 import api_pb2 as v1
from runtimes.native import kernel
from runtimes.native.images import ImageRecord
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Engine, Item, Layered
from tests.runtimes.native.images.scripted_registry import scripted_registry

MIB = 1 << 20
SIZE = 24 * MIB

SMALL = kit.layer(Item("small", b"small"))
LARGE = kit.layer(Item("large", bytes(2 * SIZE)))


@pytest.fixture
def base(tmp_path: Path, root: None) -> Iterator[Path]:
    """A disk of a few MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    kernel.mount("tmpfs", place, "tmpfs", data=f"size={SIZE}")
    yield place
    kernel.unmount(place, kernel.MNT_DETACH)


async def works(engine: Engine, brought: Callable[..., Awaitable[ImageRecord]]) -> None:
    """The store is whole: what is there can be used, and more can come."""
    target = engine.places.container("one") / "rootfs"
    await engine.snapshots.mount("one", await brought(SMALL, kit.layer(Item("more", bytes(MIB)))), target)
    assert sorted(os.listdir(target)) == ["more", "small"]
    await engine.snapshots.unmount("one")


@pytest.mark.parametrize("below", [(), (SMALL,)], ids=["lowest", "on-top"])
async def test_a_layer_that_does_not_fit_leaves_nothing(
    engine: Engine, brought: Callable[..., Awaitable[ImageRecord]], below: tuple[bytes, ...]
) -> None:
    with pytest.raises(ResourceExhausted, match="No space left"):
        await brought(*below, LARGE)
    engine.require_empty()
    await works(engine, brought)


async def test_a_download_that_does_not_fit_leaves_nothing(
    engine: Engine, brought: Callable[..., Awaitable[ImageRecord]]
) -> None:
    async with scripted_registry() as registry:
        registry.add("x", Layered([SMALL, LARGE]))
        with pytest.raises(ResourceExhausted, match="No space left"):
            await engine.images.pull(v1.PullImageRequest(image=v1.ImageSpec(image=f"{registry.host}/x")))
    engine.require_empty()
    await works(engine, brought)


@pytest.mark.parametrize("anew", [False, True], ids=["same-process", "new-process"])
async def test_a_container_that_fills_the_disk_does_not_keep_images_from_being_removed(
    engine: Engine, brought: Callable[..., Awaitable[ImageRecord]], base: Path, anew: bool
) -> None:
    image = await brought(SMALL, kit.layer(Item("more", bytes(MIB))))
    other = await brought(kit.layer(Item("other", bytes(MIB))))
    target = engine.places.container("one") / "rootfs"
    await engine.snapshots.mount("one", image, target)
    await asyncio.to_thread(fill, target / "large")
    if anew:
        engine.close()
        with kit.engine(base) as second:
            await empty(second, image, other)
        return
    await empty(engine, image, other)
    await works(engine, brought)


async def empty(engine: Engine, *images: ImageRecord) -> None:
    for image in images:
        await engine.images.remove(v1.ImageSpec(image=image.id))
    await engine.snapshots.unmount("one")
    engine.require_empty()


def fill(path: Path) -> None:
    """Write until there is no byte left."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (MIB, 4096, 1):
            while written(file, size):
                pass
    finally:
        os.close(file)


def written(file: int, size: int) -> bool:
    try:
        return os.write(file, bytes(size)) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
