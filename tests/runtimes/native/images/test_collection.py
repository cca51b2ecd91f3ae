"""Keeping the store below a size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from cri.v1 import api_pb2 as v1
from runtimes.native.config import ImageSettings
from runtimes.native.images import ImageRecord, collection
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Engine, Item, Layered

MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "YOUNG", 0)


@pytest.fixture
def engine(base: Path) -> Iterator[Engine]:
    """Three images of one MiB are too much, one is little enough."""
    settings = ImageSettings(gc_high=5 * MIB // 2, gc_low=3 * MIB // 2, pinned=("localhost/pinned:1",))
    with kit.engine(base, settings) as made:
        yield made


async def add(engine: Engine, tmp_path: Path, name: str) -> ImageRecord:
    layer = kit.layer(Item(name, name.encode() * (MIB // len(name))))
    place = kit.layout(tmp_path / f"layout-{name}", (f"localhost/{name}:1", Layered([layer])))
    (record,) = await engine.images.import_(place)
    return record


async def names(engine: Engine) -> list[str]:
    return [image.repo_tags[0].split("/")[1][:-2] for image in await engine.images.list(v1.ImageFilter())]


async def test_the_longest_unused_images_go_until_there_is_little_enough(engine: Engine, tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        await add(engine, tmp_path, name)
    assert await names(engine) == ["third"]
    assert len(engine.left()["layers"]) == 1


async def test_below_the_limit_nothing_goes(engine: Engine, tmp_path: Path) -> None:
    for name in ("first", "second"):
        await add(engine, tmp_path, name)
    assert await names(engine) == ["first", "second"]


async def test_an_image_of_a_container_stays(engine: Engine, tmp_path: Path) -> None:
    first = await add(engine, tmp_path, "first")
    await engine.snapshots.mount("one", first, engine.places.container("one") / "rootfs")
    await add(engine, tmp_path, "second")
    await add(engine, tmp_path, "third")
    assert "first" in await names(engine)
    assert "second" not in await names(engine)


async def test_an_image_that_is_a_volume_stays(engine: Engine, tmp_path: Path) -> None:
    first = await add(engine, tmp_path, "first")
    await engine.snapshots.mount_image_volume("one", first, engine.places.container("one") / "volume")
    await add(engine, tmp_path, "second")
    await add(engine, tmp_path, "third")
    assert "first" in await names(engine)


async def test_a_pinned_image_stays_and_says_so(engine: Engine, tmp_path: Path) -> None:
    for name in ("pinned", "second", "third"):
        await add(engine, tmp_path, name)
    assert await names(engine) == ["pinned"]
    (image,) = await engine.images.list(v1.ImageFilter())
    assert image.pinned


async def test_an_image_that_was_just_used_stays(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "YOUNG", 1000)
    for name in ("first", "second", "third"):
        await add(engine, tmp_path, name)
    assert await names(engine) == ["first", "second", "third"]


async def test_a_container_makes_its_image_the_last_to_go(engine: Engine, tmp_path: Path) -> None:
    first = await add(engine, tmp_path, "first")
    await add(engine, tmp_path, "second")
    await engine.snapshots.mount("one", first, engine.places.container("one") / "rootfs")
    await engine.snapshots.unmount("one")
    await add(engine, tmp_path, "third")
    assert "second" not in await names(engine)


def test_limits_that_contradict_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than gc_high"):
        ImageSettings(gc_high=1, gc_low=2)
