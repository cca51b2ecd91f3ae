"""Root file systems of containers."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cri.errors import NotFound
from cri.v1 import api_pb2 as v1
from runtimes.native import kernel
from runtimes.native.images import ImageRecord
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.conftest import mounts_below
from tests.runtimes.native.images.kit import Engine, Item

Brought = Callable[..., Awaitable[ImageRecord]]

BASE = kit.layer(kit.directory("./", 0o750), kit.directory("etc/"), Item("etc/a", b"a"), Item("etc/b", b"b"))
TOP = kit.layer(Item("etc/.wh.a"), Item("etc/c", b"c"))


@pytest.fixture
def target(engine: Engine) -> Path:
    return engine.places.container("one") / "rootfs"


async def test_a_container_sees_all_layers_and_writes_to_its_own(
    engine: Engine, brought: Brought, target: Path
) -> None:
    image = await brought(BASE, TOP)
    await engine.snapshots.mount("one", image, target)
    assert sorted(os.listdir(target / "etc")) == ["b", "c"]
    (target / "etc/b").write_text("changed")
    assert (image.layers[0] / "etc/b").read_text() == "b"
    upper = engine.snapshots.upper("one")
    assert upper
    assert (upper / "etc/b").read_text() == "changed"


async def test_the_root_directory_is_that_of_the_image(engine: Engine, brought: Brought, target: Path) -> None:
    await engine.snapshots.mount("one", await brought(BASE, TOP), target)
    assert os.stat(target).st_mode & 0o7777 == 0o750


async def test_containers_of_one_image_do_not_see_each_other(engine: Engine, brought: Brought, target: Path) -> None:
    image = await brought(BASE)
    other = engine.places.container("two") / "rootfs"
    await engine.snapshots.mount("one", image, target)
    await engine.snapshots.mount("two", image, other)
    (target / "etc/a").unlink()
    assert (other / "etc/a").read_text() == "a"


async def test_nothing_stays_of_an_unmounted_snapshot(
    engine: Engine, brought: Brought, target: Path, base: Path
) -> None:
    await engine.snapshots.mount("one", await brought(BASE, TOP), target)
    (target / "new").write_text("x")
    await engine.snapshots.unmount("one")
    assert mounts_below(base) == []
    assert engine.left()["snapshots"] == []
    assert (engine.rows("snapshots"), engine.rows("snapshot_mounts"), engine.rows("snapshot_layers")) == (0, 0, 0)
    assert os.listdir(target.parent) == []


async def test_unmounting_what_is_not_there_succeeds(engine: Engine) -> None:
    await engine.snapshots.unmount("unknown")


async def test_a_container_that_dug_deep_can_be_removed(engine: Engine, brought: Brought, target: Path) -> None:
    """Deeper than any path may be long: a process gets there step by step."""
    await engine.snapshots.mount("one", await brought(BASE), target)
    name = "d" * 200
    here = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(60):
        os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    await engine.snapshots.unmount("one")
    assert engine.left()["snapshots"] == []


async def test_a_link_that_a_container_left_is_removed_and_not_followed(
    engine: Engine, brought: Brought, target: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    await engine.snapshots.mount("one", await brought(BASE), target)
    (target / "link").symlink_to(precious)
    await engine.snapshots.unmount("one")
    assert (precious / "file").exists()


async def test_usage_is_what_the_container_wrote(engine: Engine, brought: Brought, target: Path) -> None:
    await engine.snapshots.mount("one", await brought(BASE), target)
    before = await engine.snapshots.usage("one")
    (target / "data").write_bytes(b"x" * 100_000)
    after = await engine.snapshots.usage("one")
    assert (after.used_bytes or 0) - (before.used_bytes or 0) >= 100_000
    assert (after.inodes or 0) - (before.inodes or 0) == 1


async def test_as_many_layers_as_an_image_has_fit_into_one_mount(
    engine: Engine, brought: Brought, target: Path
) -> None:
    layers = [kit.layer(Item(f"file-{number}", b"x")) for number in range(130)]
    await engine.snapshots.mount("one", await brought(*layers), target)
    assert len(os.listdir(target)) == 130


async def test_an_image_that_is_gone_is_not_found(engine: Engine, brought: Brought, target: Path, base: Path) -> None:
    image = await brought(BASE)
    await engine.images.remove(v1.ImageSpec(image=image.id))
    with pytest.raises(NotFound, match="removed"):
        await engine.snapshots.mount("one", image, target)
    assert mounts_below(base) == []
    engine.require_empty()


async def test_a_mount_that_fails_leaves_nothing(
    engine: Engine, brought: Brought, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await brought(BASE)

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(kernel, "mount", refuse)
    with pytest.raises(Exception, match="cannot be mounted: Input/output error"):
        await engine.snapshots.mount("one", image, target)
    assert engine.rows("snapshots") == 0
    assert engine.left()["snapshots"] == []


async def test_an_image_may_go_while_a_container_of_it_lives(engine: Engine, brought: Brought, target: Path) -> None:
    await engine.snapshots.mount("one", await brought(BASE, TOP, name="localhost/x"), target)
    await engine.images.remove(v1.ImageSpec(image="localhost/x"))
    assert await engine.images.list(v1.ImageFilter()) == []
    assert (target / "etc/c").read_text() == "c"
    await engine.snapshots.unmount("one")
    engine.require_empty()


async def test_snapshots_of_containers_that_are_gone_are_recovered(
    engine: Engine, brought: Brought, base: Path
) -> None:
    image = await brought(BASE)
    for name in ("kept", "gone"):
        await engine.snapshots.mount(name, image, engine.places.container(name) / "rootfs")
    await engine.snapshots.recover(lambda: {"kept"})
    assert mounts_below(base) == [str(engine.places.container("kept") / "rootfs")]
    assert engine.left()["snapshots"] == ["kept"]


async def test_after_a_reboot_snapshots_are_recovered_without_their_mounts(
    engine: Engine, brought: Brought, target: Path
) -> None:
    await engine.snapshots.mount("one", await brought(BASE), target)
    kernel.unmount(target)
    os.rmdir(target)
    await engine.snapshots.recover(list)
    assert engine.rows("snapshots") == 0
    assert engine.left()["snapshots"] == []
