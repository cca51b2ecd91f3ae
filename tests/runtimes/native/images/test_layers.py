"""What a layer makes of those below it."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtimes.native.images import ImageRecord
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Engine, Item

Brought = Callable[..., Awaitable[ImageRecord]]
Seen = Callable[..., Awaitable[Path]]


@pytest.fixture
def seen(engine: Engine, brought: Brought) -> Seen:
    """`await seen(tar, tar)` is the root directory of a container of these layers."""

    async def see(*layers: bytes) -> Path:
        image = await brought(*layers)
        return await engine.snapshots.mount("seen", image, engine.places.container("seen") / "rootfs")

    return see


def tree(root: Path) -> list[str]:
    return sorted(str(each.relative_to(root)) for each in root.rglob("*"))


BASE = kit.layer(kit.directory("d/"), Item("d/a", b"a"), kit.directory("d/sub/"), Item("d/sub/x"), Item("f", b"f"))


@pytest.mark.parametrize(
    ("items", "left"),
    [
        ([Item("d/.wh.a")], ["d", "d/sub", "d/sub/x", "f"]),
        ([Item(".wh.d")], ["f"]),
        ([Item(".wh.f"), Item("f/g")], ["d", "d/a", "d/sub", "d/sub/x", "f", "f/g"]),
        ([Item("d/.wh..wh..opq"), Item("d/b")], ["d", "d/b", "f"]),
        ([Item("d/b"), Item("d/.wh..wh..opq")], ["d", "d/b", "f"]),
        ([Item("d/sub/y"), Item(".wh.d")], ["d", "d/sub", "d/sub/y", "f"]),
        ([Item(".wh.d"), kit.directory("d/"), Item("d/n")], ["d", "d/n", "f"]),
        ([Item("d/.wh.none"), Item("none/.wh.none")], ["d", "d/a", "d/sub", "d/sub/x", "f"]),
        ([Item("d", b"now a file")], ["d", "f"]),
        ([kit.directory("f/"), Item("f/g")], ["d", "d/a", "d/sub", "d/sub/x", "f", "f/g"]),
        ([Item(".wh..wh.plnk"), Item(".wh..wh.aufs")], ["d", "d/a", "d/sub", "d/sub/x", "f"]),
        ([Item("f", type=tarfile.CHRTYPE)], ["d", "d/a", "d/sub", "d/sub/x"]),
    ],
    ids=[
        "file",
        "directory",
        "file-becomes-directory",
        "opaque",
        "opaque-last",
        "own-files-stay",
        "directory-anew",
        "nothing-there",
        "directory-becomes-file",
        "file-replaced-by-directory",
        "aufs",
        "overlay-form",
    ],
)
async def test_whiteouts_hide_what_is_below(seen: Seen, items: list[Item], left: list[str]) -> None:
    assert tree(await seen(BASE, kit.layer(*items))) == left


async def test_what_a_layer_hides_a_later_one_may_bring_back(seen: Seen) -> None:
    hiding, bringing = kit.layer(Item(".wh.d")), kit.layer(Item("d/z", b"z"))
    assert tree(await seen(BASE, hiding, bringing)) == ["d", "d/z", "f"]


async def test_a_file_has_owner_mode_time_and_attributes(seen: Seen) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    item = Item("f", b"x", mode=0o6711, uid=7, gid=70000, mtime=1.5, xattrs={"security.capability": capability})
    found = await seen(kit.layer(item))
    status = (found / "f").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_mtime) == (0o6711, 7, 70000, 1.5)
    assert os.getxattr(found / "f", "security.capability") == capability


async def test_a_directory_has_its_time_although_files_came_later(seen: Seen) -> None:
    found = await seen(kit.layer(kit.directory("d/", 0o700, mtime=5), Item("d/a"), kit.directory("d/e", mtime=6)))
    assert (found / "d").stat().st_mtime == 5
    assert (found / "d").stat().st_mode & 0o7777 == 0o700


async def test_a_directory_that_a_layer_does_not_speak_of_keeps_its_mode(seen: Seen) -> None:
    found = await seen(kit.layer(kit.directory("d/", 0o1770, gid=9)), kit.layer(Item("d/a")))
    status = (found / "d").stat()
    assert (status.st_mode & 0o7777, status.st_gid) == (0o1770, 9)


async def test_the_last_entry_of_a_name_counts(seen: Seen) -> None:
    found = await seen(kit.layer(Item("f", b"first"), Item("f", b"second")))
    assert (found / "f").read_bytes() == b"second"


async def test_devices_and_pipes_are_made(seen: Seen) -> None:
    found = await seen(
        kit.layer(
            Item("null", type=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
            Item("loop", type=tarfile.BLKTYPE, device=(7, 0)),
            Item("pipe", type=tarfile.FIFOTYPE),
        )
    )
    assert (found / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISCHR((found / "null").stat().st_mode)
    assert stat.S_ISBLK((found / "loop").stat().st_mode)
    assert (found / "pipe").is_fifo()


async def test_hard_links_are_one_file_also_to_a_layer_below(seen: Seen) -> None:
    found = await seen(BASE, kit.layer(kit.hardlink("g", "d/a"), Item("n", b"n"), kit.hardlink("/m", "./n")))
    assert (found / "g").read_bytes() == b"a"
    assert (found / "m").samefile(found / "n")


async def test_a_link_below_leads_to_where_files_go(seen: Seen) -> None:
    """/lib is a link to usr/lib in many images, and layers on top bring lib/x."""
    below = kit.layer(kit.directory("usr/"), kit.directory("usr/lib/"), kit.symlink("lib", "/usr/lib"))
    found = await seen(below, kit.layer(Item("lib/x", b"x")))
    assert (found / "lib").is_symlink()
    assert (found / "usr/lib/x").read_bytes() == b"x"


@pytest.fixture
def sparse(tmp_path: Path) -> tuple[bytes, bytes]:
    """The content of a file with holes, and a tar that leaves them out."""
    place = tmp_path / "sparse"
    place.mkdir()
    with (place / "f").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"middle")
    made = subprocess.run(["tar", "-S", "-C", place, "-c", "f"], capture_output=True, check=True).stdout
    assert len(made) < 1 << 18
    return (place / "f").read_bytes(), made


async def test_sparse_files_are_read(seen: Seen, sparse: tuple[bytes, bytes]) -> None:
    content, made = sparse
    found = await seen(made)
    assert (found / "f").read_bytes() == content


async def test_an_empty_layer_changes_nothing(seen: Seen) -> None:
    assert tree(await seen(BASE, kit.layer())) == ["d", "d/a", "d/sub", "d/sub/x", "f"]


async def test_a_layer_that_two_images_share_is_unpacked_once(engine: Engine, brought: Brought) -> None:
    first = await brought(BASE, kit.layer(Item("one")))
    second = await brought(BASE, kit.layer(Item("two")))
    assert first.layers[0] == second.layers[0]
    assert len(engine.left()["layers"]) == 3
