"""Images as volumes: read-only, whole or in part, and nothing but the image."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cri.errors import InvalidArgument
from runtimes.native.images import ImageRecord
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.conftest import mounts_below
from tests.runtimes.native.images.kit import Engine, Item

Brought = Callable[..., Awaitable[ImageRecord]]

BASE = kit.layer(kit.directory("d/"), Item("d/file", b"content", mode=0o755), kit.symlink("link", "/d"))
TOP = kit.layer(Item("d/top", b"top"))


@pytest.fixture
def target(engine: Engine) -> Path:
    return engine.places.container("one") / "volume"


def refusal(path: Path) -> int | None:
    """Why a file cannot be made at ``path``."""
    try:
        path.write_text("x")
    except OSError as error:
        return error.errno
    return None


def content(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize("layers", [(BASE,), (BASE, TOP)], ids=["one-layer", "two-layers"])
async def test_a_volume_shows_the_image_and_cannot_be_written_to(
    engine: Engine, brought: Brought, target: Path, layers: tuple[bytes, ...]
) -> None:
    await engine.snapshots.mount_image_volume("one", await brought(*layers), target)
    assert (target / "d/file").read_text() == "content"
    assert refusal(target / "d/new") == errno.EROFS


async def test_nothing_in_a_volume_changes_who_runs_it_or_is_a_device(
    engine: Engine, brought: Brought, target: Path
) -> None:
    await engine.snapshots.mount_image_volume("one", await brought(BASE), target)
    flags = os.statvfs(target).f_flag
    wanted = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV
    assert flags & wanted == wanted


@pytest.mark.parametrize("sub_path", ["d", "/d/", "link", "../../d"])
async def test_a_part_of_an_image_is_a_volume(
    engine: Engine, brought: Brought, target: Path, base: Path, sub_path: str
) -> None:
    await engine.snapshots.mount_image_volume("one", await brought(BASE, TOP), target, sub_path=sub_path)
    assert sorted(os.listdir(target)) == ["file", "top"]
    assert refusal(target / "new") == errno.EROFS
    assert mounts_below(base) == [str(target)]


async def test_a_file_of_an_image_is_a_volume(engine: Engine, brought: Brought, target: Path) -> None:
    await engine.snapshots.mount_image_volume("one", await brought(BASE), target, sub_path="d/file")
    assert content(target) == "content"
    await engine.snapshots.unmount("one")
    assert os.listdir(target.parent) == []


async def test_a_part_that_is_not_there_is_refused_and_leaves_nothing(
    engine: Engine, brought: Brought, target: Path, base: Path
) -> None:
    with pytest.raises(InvalidArgument, match="image_sub_path: 'none'"):
        await engine.snapshots.mount_image_volume("one", await brought(BASE), target, sub_path="none")
    assert mounts_below(base) == []
    await engine.snapshots.unmount("one")
    assert engine.rows("snapshots") == 0


@pytest.mark.parametrize("link", ["{out}", "../../../../../../../../../../..{out}", "door"])
async def test_no_link_of_an_image_leads_a_part_out_of_it(
    engine: Engine, brought: Brought, target: Path, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    image = await brought(kit.layer(kit.symlink("door", link.format(out=outside))))
    with pytest.raises(InvalidArgument):
        await engine.snapshots.mount_image_volume("one", image, target, sub_path="door")
    assert content(target / "secret") is None


async def test_volumes_go_with_their_container(engine: Engine, brought: Brought, target: Path, base: Path) -> None:
    image = await brought(BASE)
    await engine.snapshots.mount("one", image, engine.places.container("one") / "rootfs")
    await engine.snapshots.mount_image_volume("one", image, target)
    await engine.snapshots.mount_image_volume("one", image, target.with_name("other"), sub_path="d")
    await engine.snapshots.unmount("one")
    assert mounts_below(base) == []
    assert engine.rows("snapshot_mounts") == 0
