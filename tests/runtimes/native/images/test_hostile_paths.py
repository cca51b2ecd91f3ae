"""Layers whose names and links lead to the host that unpacks them. Each test is an attack."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtimes.native.images import ImageRecord
from runtimes.native.images.failures import BadImage
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Item

Brought = Callable[..., Awaitable[ImageRecord]]

BASE = kit.layer(kit.directory("etc/"), Item("etc/passwd", b"of the image"))
MANY = "../" * 40


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What an attacker wants to reach: a file and a directory of the host."""
    place = tmp_path / "outside"
    (place / "directory").mkdir(parents=True)
    (place / "directory/file").write_text("precious")
    (place / "secret").write_text("secret")
    os.chmod(place / "secret", 0o600)
    return place


def state(place: Path) -> dict[str, tuple[int, int, int, float, bytes]]:
    """All of what an attack may change below ``place``."""
    found = {}
    for each in (place, *sorted(place.rglob("*"))):
        status = each.lstat()
        content = each.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(each)] = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime, content)
    return found


async def attack(brought: Brought, outside: Path, *items: Item, below: tuple[bytes, ...] = ()) -> ImageRecord | None:
    """Unpack, or see it refused; the host is as it was either way."""
    before = state(outside)
    try:
        return await brought(*below, kit.layer(*items))
    except BadImage:
        return None
    finally:
        assert state(outside) == before


@pytest.mark.parametrize("name", ["{out}/new", MANY + "{out}/new", "a/" + MANY + "{out}/new", "./..//{out}/new"])
async def test_no_name_leads_out(brought: Brought, outside: Path, name: str) -> None:
    await attack(brought, outside, Item(name.format(out=outside), b"x"))
    assert not (outside / "new").exists()


@pytest.mark.parametrize("target", ["{out}/directory", MANY + "{out}/directory", "."])
@pytest.mark.parametrize("apart", [False, True], ids=["one-layer", "two-layers"])
async def test_no_file_goes_through_a_link_that_leads_out(
    brought: Brought, outside: Path, target: str, apart: bool
) -> None:
    link = kit.symlink("door", target.format(out=outside))
    files = [Item("door/file", b"changed"), Item("door/new", b"x"), kit.directory("door/sub/")]
    if apart:
        await attack(brought, outside, *files, below=(kit.layer(link),))
    else:
        await attack(brought, outside, link, *files)


async def test_no_chain_of_links_leads_out(brought: Brought, outside: Path) -> None:
    await attack(
        brought,
        outside,
        kit.directory("a/"),
        kit.symlink("a/up", "../.."),
        kit.symlink("b", "a/up/../../.."),
        kit.symlink("c", f"b/{str(outside).lstrip('/')}"),
        Item("c/directory/file", b"changed"),
        Item("c/new", b"x"),
    )


async def test_no_hard_link_is_to_a_file_outside(brought: Brought, outside: Path) -> None:
    for target in (f"{outside}/secret", f"{MANY}{outside}/secret"):
        await attack(brought, outside, kit.hardlink("leak", target), Item("leak", b"changed"))


async def test_no_hard_link_goes_through_a_link_that_leads_out(brought: Brought, outside: Path) -> None:
    record = await attack(
        brought, outside, kit.symlink("door", str(outside)), kit.hardlink("leak", "door/secret"), Item("leak", b"!")
    )
    assert record is None


async def test_a_hard_link_to_a_link_is_not_followed(brought: Brought, outside: Path) -> None:
    record = await attack(
        brought, outside, kit.symlink("door", f"{outside}/secret"), kit.hardlink("twin", "door"), Item("twin", b"!")
    )
    assert record
    assert (record.layers[0] / "twin").read_bytes() == b"!"


async def test_a_file_in_place_of_a_link_is_written_to_the_image(brought: Brought, outside: Path) -> None:
    record = await attack(brought, outside, kit.symlink("f", f"{outside}/secret"), Item("f", b"changed", mode=0o777))
    assert record
    assert (record.layers[0] / "f").read_bytes() == b"changed"


async def test_a_directory_in_place_of_a_link_does_not_change_what_the_link_is_to(
    brought: Brought, outside: Path
) -> None:
    record = await attack(
        brought,
        outside,
        kit.symlink("d", f"{outside}/directory"),
        kit.directory("d/", 0o777, mtime=1, uid=5),
        Item("d/file", b"changed"),
    )
    assert record
    assert not (record.layers[0] / "d").is_symlink()


async def test_a_link_in_place_of_a_directory_gets_no_time_of_it(brought: Brought, outside: Path) -> None:
    """Times of directories are set last, when a link may have taken the place of one."""
    await attack(
        brought,
        outside,
        kit.directory("d/", mtime=1),
        kit.directory("d/directory/", mtime=1),
        kit.symlink("d", str(outside)),
    )


@pytest.mark.parametrize("name", [".wh.directory", ".wh.secret", "directory/.wh..wh..opq", ".wh..", ".wh...", ".wh."])
async def test_no_whiteout_removes_what_is_outside(brought: Brought, outside: Path, name: str) -> None:
    door = kit.layer(kit.symlink("door", str(outside)), kit.symlink("self", f"{outside}/directory"))
    await attack(brought, outside, Item(f"door/{name}"), below=(door,))
    await attack(brought, outside, Item(f"{MANY}{outside}/{name}"), below=(door,))
    await attack(brought, outside, Item("self/.wh..wh..opq"), below=(door,))


async def test_a_whiteout_of_a_link_removes_the_link(brought: Brought, outside: Path) -> None:
    below = kit.layer(kit.symlink("door", f"{outside}/directory"))
    assert await attack(brought, outside, Item(".wh.door"), below=(below,))


async def test_what_is_replaced_is_removed_without_following_links(brought: Brought, outside: Path) -> None:
    tree = kit.layer(kit.directory("d/"), kit.symlink("d/door", str(outside)), Item("d/x"))
    assert await attack(brought, outside, Item("d", b"now a file"), below=(tree,))


async def test_attributes_that_steer_overlayfs_are_left_out(brought: Brought, outside: Path) -> None:
    steering = {"trusted.overlay.redirect": b"/", "trusted.overlay.opaque": b"y", "user.overlay.opaque": b"y"}
    record = await attack(brought, outside, kit.directory("etc/", xattrs=steering | {"user.kept": b"1"}), below=(BASE,))
    assert record
    assert "user.kept" in os.listxattr(record.layers[1] / "etc")
    assert not set(steering) & set(os.listxattr(record.layers[1] / "etc"))


async def test_a_whiteout_device_hides_nothing_that_is_not_below(brought: Brought, outside: Path) -> None:
    record = await attack(brought, outside, Item("w", type=tarfile.CHRTYPE, device=(0, 0)))
    assert record
    assert os.listdir(record.layers[0]) == []
