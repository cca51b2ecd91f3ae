"""Images from files: archives, layouts, root file systems."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from cri.errors import InvalidArgument, NotFound, PlatformMismatch
from cri.platforms import Platform
from runtimes.native.images.failures import BadImage
from tests.host import images
from tests.host.images import BUSYBOX, Image
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Engine, Item, Layered

PLAIN = kit.layer(kit.directory("etc/"), Item("etc/name", b"plain"))


@pytest.mark.parametrize("made", [images.docker_archive, lambda name: images.oci_archive(name)], ids=["docker", "oci"])
async def test_an_archive_gives_its_image_under_its_name(
    engine: Engine, tmp_path: Path, made: Callable[[str], bytes]
) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(made(BUSYBOX))
    (record,) = await engine.images.import_(archive)
    assert (record.id, record.tags) == (Image().id, (BUSYBOX,))
    assert (record.layers[0] / "bin/sh").readlink() == Path("busybox")


async def test_a_compressed_archive_is_read_too(engine: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar.gz"
    archive.write_bytes(gzip.compress(images.docker_archive(BUSYBOX), 1))
    (record,) = await engine.images.import_(archive)
    assert record.id == Image().id


async def test_one_name_may_be_given_in_place_of_those_in_the_archive(engine: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(images.docker_archive(BUSYBOX))
    (record,) = await engine.images.import_(archive, "localhost/other")
    assert record.tags == ("localhost/other:latest",)


async def test_an_oci_layout_gives_all_its_images(engine: Engine, tmp_path: Path) -> None:
    other = Layered([kit.layer(Item("b"))])
    place = kit.layout(tmp_path / "layout", ("localhost/a:1", Layered([PLAIN])), ("localhost/b:2", other))
    found = await engine.images.import_(place)
    assert {record.tags[0]: record.id for record in found} == {
        "localhost/a:1": Layered([PLAIN]).id,
        "localhost/b:2": other.id,
    }


async def test_several_images_cannot_have_one_name(engine: Engine, tmp_path: Path) -> None:
    other = Layered([kit.layer(Item("b"))])
    place = kit.layout(tmp_path / "layout", ("localhost/a:1", Layered([PLAIN])), ("localhost/b:2", other))
    with pytest.raises(InvalidArgument, match="2 images"):
        await engine.images.import_(place, "localhost/c")
    engine.require_empty()


@pytest.mark.parametrize(
    "compress", [gzip.compress, zstd.compress, bz2.compress, lzma.compress], ids=["gzip", "zstd", "bzip2", "xz"]
)
async def test_a_layer_is_decompressed(engine: Engine, tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    image = Layered([PLAIN], [compress(PLAIN)])
    (record,) = await engine.images.import_(kit.layout(tmp_path / "layout", ("", image)))
    assert (record.layers[0] / "etc/name").read_bytes() == b"plain"


async def test_a_gzip_layer_of_several_members_is_one_layer(engine: Engine, tmp_path: Path) -> None:
    """Parallel compressors write such."""
    image = Layered([PLAIN], [gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:])])
    (record,) = await engine.images.import_(kit.layout(tmp_path / "layout", ("", image)))
    assert (record.layers[0] / "etc/name").read_bytes() == b"plain"


async def test_a_root_file_system_in_a_tar_becomes_an_image(engine: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "rootfs.tar.gz"
    archive.write_bytes(gzip.compress(PLAIN))
    (record,) = await engine.images.import_(archive, "localhost/rootfs")
    assert record.config["config"]["Cmd"] == ["/bin/sh"]
    assert (record.layers[0] / "etc/name").read_bytes() == b"plain"


async def test_a_directory_becomes_an_image_with_owners_modes_times_and_links(engine: Engine, tmp_path: Path) -> None:
    place = tmp_path / "rootfs"
    (place / "bin").mkdir(parents=True)
    (place / "bin/tool").write_text("#!")
    os.chown(place / "bin/tool", 12, 34)
    os.chmod(place / "bin/tool", 0o4755)
    os.utime(place / "bin/tool", (1, 1))
    os.link(place / "bin/tool", place / "bin/twin")
    (place / "sh").symlink_to("/bin/tool")
    os.mkfifo(place / "pipe")
    os.setxattr(place / "bin", "user.name", b"\xff\0")
    (record,) = await engine.images.import_(place, "localhost/made")
    made = record.layers[0]
    found = (made / "bin/tool").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_mtime) == (12, 34, 0o4755, 1)
    assert (made / "bin/twin").samefile(made / "bin/tool")
    assert (made / "sh").readlink() == Path("/bin/tool")
    assert (made / "pipe").is_fifo()
    assert os.getxattr(made / "bin", "user.name") == b"\xff\0"


async def test_the_same_directory_is_the_same_image(engine: Engine, tmp_path: Path) -> None:
    place = tmp_path / "rootfs"
    place.mkdir()
    (place / "file").write_text("x")
    first = await engine.images.import_(place)
    again = await engine.images.import_(place)
    assert [each.id for each in first] == [each.id for each in again]
    assert len(engine.left()["layers"]) == 1


async def test_the_platform_is_chosen_from_an_index(engine: Engine, tmp_path: Path) -> None:
    arm, intel = Layered([PLAIN], architecture="arm64"), Layered([PLAIN], architecture="amd64")
    place = kit.layout(tmp_path / "layout", ("", arm), ("", intel))
    (place / "index.json").write_bytes(kit.index(arm, intel))
    (record,) = await engine.images.import_(place, platform=Platform("linux", "arm64"))
    assert (record.id, str(record.platform)) == (arm.id, "linux/arm64")


async def test_a_platform_that_an_index_lacks_is_named_with_those_that_it_has(engine: Engine, tmp_path: Path) -> None:
    arm, intel = Layered([PLAIN], architecture="arm64"), Layered([PLAIN], architecture="amd64")
    place = kit.layout(tmp_path / "layout", ("", arm), ("", intel))
    (place / "index.json").write_bytes(kit.index(arm, intel))
    with pytest.raises(PlatformMismatch, match="not for linux/riscv64; it is for linux/amd64, linux/arm64"):
        await engine.images.import_(place, platform=Platform("linux", "riscv64"))


async def test_what_is_not_there_is_not_found(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing"):
        await engine.images.import_(tmp_path / "missing")


async def test_what_is_no_archive_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello" * 1000)
    with pytest.raises(BadImage):
        await engine.images.import_(tmp_path / "text")
    engine.require_empty()


async def test_a_damaged_blob_is_refused(engine: Engine, tmp_path: Path) -> None:
    image = Layered([PLAIN])
    place = kit.layout(tmp_path / "layout", ("", image))
    blob = kit.put_blob(place, PLAIN)
    blob.write_bytes(PLAIN.replace(b"plain", b"trick"))
    with pytest.raises(BadImage, match="is damaged"):
        await engine.images.import_(place)
    engine.require_empty()


async def test_a_layer_that_its_config_does_not_name_is_refused(engine: Engine, tmp_path: Path) -> None:
    image = Layered([PLAIN], [kit.layer(Item("another"))])
    with pytest.raises(BadImage, match="not, as its config says"):
        await engine.images.import_(kit.layout(tmp_path / "layout", ("", image)))
    engine.require_empty()


async def test_an_archive_that_lacks_what_it_names_is_refused(engine: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        data = b'[{"Config": "../../etc/passwd", "RepoTags": [], "Layers": ["x/layer.tar"]}]'
        member = tarfile.TarInfo("manifest.json")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    archive.write_bytes(buffer.getvalue())
    with pytest.raises(BadImage, match="lacks"):
        await engine.images.import_(archive)
    engine.require_empty()
