"""Tars that no honest tool writes: each is refused, and nothing of it stays."""

from __future__ import annotations

import asyncio
import gzip
import io
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtimes.native.images import ImageRecord, entries, unpack
from runtimes.native.images.failures import BadImage
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Engine, Item, Layered

Brought = Callable[..., Awaitable[ImageRecord]]

BASE = kit.layer(kit.directory("etc/"), Item("etc/passwd", b"of the image"))


@pytest.mark.parametrize(
    "item",
    [
        Item("f", uid=0xFFFFFFFF),
        Item("f", gid=1 << 40),
        Item("f", uid=-1),
        Item("f", mtime=1e300),
        Item("d", type=tarfile.CHRTYPE, device=(1 << 13, 1)),
        Item("f", type=b"Z"),
        Item("s", type=tarfile.SYMTYPE),
        kit.symlink(".", "etc"),
        Item("./", b"x"),
        kit.hardlink("h", "."),
        kit.hardlink("h", "missing"),
        kit.hardlink("h", "etc"),
        Item("etc/passwd/x"),
        Item("n" * 300),
        Item("d/" * 2100 + "f"),
        kit.symlink("s", "x" * 5000),
    ],
    ids=lambda item: f"{item.type!r}-{item.name[:12]}",
)
async def test_what_no_image_has_is_refused(engine: Engine, brought: Brought, item: Item) -> None:
    with pytest.raises(BadImage):
        await brought(BASE, kit.layer(item))
    engine.require_empty()


async def test_links_that_make_paths_ever_deeper_are_refused(engine: Engine, brought: Brought) -> None:
    """Each name is short; the place that it leads to is not, and nobody could remove it by its path."""
    items: list[Item] = []
    inner = "/".join(["d" * 200] * 15)
    for number in range(4):
        items += [kit.directory(f"{'s' + str(number - 1) + '/' if number else ''}{inner}/")]
        items += [kit.symlink(f"s{number}", f"{'s' + str(number - 1) + '/' if number else ''}{inner}")]
    with pytest.raises(BadImage):
        await brought(kit.layer(*items))
    engine.require_empty()


def header(size: int, kind: bytes = b"x") -> bytes:
    member = tarfile.TarInfo("pax")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
async def test_a_header_that_would_take_all_memory_is_refused(engine: Engine, brought: Brought, kind: bytes) -> None:
    size = 1 << 40
    with pytest.raises(BadImage, match="header of more than"):
        await brought(header(size, kind) + b"0" * 4096)
    engine.require_empty()


async def test_headers_upon_headers_are_refused(engine: Engine, brought: Brought) -> None:
    record = b"12 mtime=1.0\n"
    one = header(len(record)) + record.ljust(512, b"\0")
    with pytest.raises(BadImage):
        await brought(one * 5000 + kit.layer(Item("f")))
    engine.require_empty()


async def test_a_sparse_file_whose_map_never_ends_is_refused(engine: Engine, brought: Brought) -> None:
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f", "GNU.sparse.realsize": "1"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("f")
        data = b"99999999\n" + b"1\n" * (2 << 20)
        member.size, member.pax_headers = len(data), pax
        tar.addfile(member, io.BytesIO(data))
    with pytest.raises(BadImage):
        await brought(buffer.getvalue())
    engine.require_empty()


@pytest.mark.parametrize("said", ["size=-512", "size=-1", f"size={1 << 62}", "mtime=nan", "mtime=inf", "path=a\0b"])
async def test_an_impossible_number_or_name_is_refused(engine: Engine, brought: Brought, said: str) -> None:
    record = f"{len(said) + 4} {said}\n".encode()
    one = header(len(record)) + record.ljust(512, b"\0") + kit.layer(Item("f", b"x" * 600))
    with pytest.raises(BadImage):
        await brought(one)
    engine.require_empty()


@pytest.mark.parametrize("cut", [100, 512, 700, 1300])
async def test_a_tar_that_is_cut_off_is_refused(engine: Engine, brought: Brought, cut: int) -> None:
    whole = kit.layer(Item("f", b"x" * 900), Item("g"))
    with pytest.raises(BadImage):
        await brought(whole[:cut])
    engine.require_empty()


async def test_garbage_between_entries_is_refused(engine: Engine, brought: Brought) -> None:
    one = kit.layer(Item("f"))[:512]
    with pytest.raises(BadImage, match="damaged or cut off"):
        await brought(one + b"\xff" * 512 + kit.layer(Item("g")))
    engine.require_empty()


async def test_a_compressed_layer_that_is_damaged_is_refused(engine: Engine, tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(BASE))
    packed[30] ^= 0xFF
    image = Layered([BASE], [bytes(packed)])
    with pytest.raises(BadImage, match="is damaged"):
        await engine.images.import_(kit.layout(tmp_path / "layout", ("", image)))
    engine.require_empty()


async def test_a_layer_of_endless_entries_is_refused(
    engine: Engine, brought: Brought, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 10)
    with pytest.raises(BadImage, match="more than 10 entries"):
        await brought(kit.layer(*[Item("f")] * 11))
    engine.require_empty()


async def test_unpacking_a_bomb_ends_when_it_is_given_up(engine: Engine, tmp_path: Path) -> None:
    """A small file that would fill the disk: 200 GB of zeros, and somebody who does not wait for their end."""
    tar = header(200 << 30, b"0")
    bomb = tmp_path / "bomb.gz"
    zeros = gzip.compress(b"\0" * (32 << 20))
    with bomb.open("wb") as file:
        file.write(gzip.compress(tar))
        for _ in range(200):
            file.write(zeros)
    work = asyncio.create_task(engine.images.import_(bomb))
    await asyncio.wait({work}, timeout=0.2)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    engine.require_empty()


def test_names_are_cleaned_or_refused() -> None:
    assert [entries.clean(each) for each in ("/a//b/", "./a/./b", ".", "/")] == ["a/b", "a/b", "", ""]
    for name in ("..", "a/../b", "../a", "a/..", "a\0b"):
        with pytest.raises(BadImage):
            entries.clean(name)
