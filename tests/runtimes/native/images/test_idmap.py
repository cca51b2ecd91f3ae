"""Snapshots of containers with a user namespace: root of the image is root in there, and nobody on the host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from cri.errors import Unimplemented
from runtimes.native.images import IdMap, ImageRecord
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.conftest import mounts_below
from tests.runtimes.native.images.kit import Engine, Item

Brought = Callable[..., Awaitable[ImageRecord]]

FIRST = 200_000
BASE = kit.layer(kit.directory("d/", uid=7, gid=8), Item("root"), Item("seven", uid=7, gid=8))
TOP = kit.layer(Item("top", uid=1))
UNSHARED = "import ctypes, sys; ctypes.CDLL(None).unshare(0x10000000); print(flush=True); sys.stdin.read()"


@pytest.fixture
def users(root: None) -> Iterator[IdMap]:
    """A user namespace in which FIRST is root."""
    with subprocess.Popen([sys.executable, "-c", UNSHARED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        for kind in ("uid", "gid"):
            Path(f"/proc/{process.pid}/{kind}_map").write_text(f"0 {FIRST} 65536")
        yield IdMap(Path(f"/proc/{process.pid}/ns/user"), FIRST, FIRST)


def owner(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid - FIRST, found.st_gid - FIRST


async def mounted(engine: Engine, image: ImageRecord, users: IdMap) -> Path:
    target = engine.places.container("one") / "rootfs"
    try:
        return await engine.snapshots.mount("one", image, target, idmap=users)
    except Unimplemented as error:
        pytest.skip(error.message)


async def test_owners_are_mapped_and_the_layers_are_not_changed(
    engine: Engine, brought: Brought, users: IdMap, base: Path
) -> None:
    image = await brought(BASE, TOP)
    target = await mounted(engine, image, users)
    seen = {name: owner(target / name) for name in ("", "root", "seven", "d", "top")}
    assert seen == {"": (0, 0), "root": (0, 0), "seven": (7, 8), "d": (7, 8), "top": (1, 0)}
    assert owner(image.layers[0] / "seven") == (7 - FIRST, 8 - FIRST)
    assert mounts_below(base) == [str(target)]


async def test_a_file_that_is_changed_keeps_its_owner(engine: Engine, brought: Brought, users: IdMap) -> None:
    target = await mounted(engine, await brought(BASE), users)
    (target / "seven").write_text("changed")
    assert owner(target / "seven") == (7, 8)


async def test_mounts_after_it_are_not_mapped(engine: Engine, brought: Brought, users: IdMap) -> None:
    image = await brought(BASE)
    await mounted(engine, image, users)
    other = await engine.snapshots.mount("two", image, engine.places.container("two") / "rootfs")
    assert os.stat(other / "seven").st_uid == 7


async def test_a_volume_is_mapped_too(engine: Engine, brought: Brought, users: IdMap) -> None:
    image = await brought(BASE)
    await mounted(engine, image, users)
    target = engine.places.container("one") / "volume"
    await engine.snapshots.mount_image_volume("one", image, target, sub_path="d", idmap=users)
    assert owner(target) == (7, 8)


async def test_nothing_stays_of_it(engine: Engine, brought: Brought, users: IdMap, base: Path) -> None:
    await mounted(engine, await brought(BASE), users)
    await engine.snapshots.unmount("one")
    assert mounts_below(base) == []
    assert engine.left()["snapshots"] == []
