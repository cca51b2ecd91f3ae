"""`python -m tests.runtimes.native.images.crash DIRECTORY`: a store that dies at a chosen instruction.

It works on the store in DIRECTORY/native with what `make` put beside it: images come, containers of them come and go,
images go.
"""

from __future__ import annotations

from pathlib import Path

from cri.v1 import api_pb2 as v1
from runtimes.native import images
from tests.runtimes.native import mortal
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Item, Layered

STAYS = Layered([kit.layer(kit.directory("etc/"), Item("etc/stays", b"stays"))])
COMES = Layered([*STAYS.layers, kit.layer(Item("etc/.wh.stays"), Item("etc/new"), kit.hardlink("twin", "etc/new"))])


def make(directory: Path) -> None:
    kit.layout(directory / "layout", ("localhost/comes:1", COMES))
    (directory / "rootfs.tar").write_bytes(kit.layer(kit.directory("d/"), Item("d/f", b"f" * 5000)))


async def work(directory: Path) -> None:
    engine = kit.Engine(directory / "native")
    await engine.images.recover()
    (image,) = await engine.images.import_(directory / "layout")
    (rootfs,) = await engine.images.import_(directory / "rootfs.tar", "localhost/rootfs")
    bundle = engine.places.container("goes")
    await engine.snapshots.mount("goes", image, bundle / "rootfs")
    await engine.snapshots.mount_image_volume("goes", rootfs, bundle / "volume", sub_path="d")
    await engine.images.remove(v1.ImageSpec(image=rootfs.id))
    await engine.snapshots.unmount("goes")
    await engine.images.remove(v1.ImageSpec(image=image.id))
    engine.close()


if __name__ == "__main__":
    mortal.serve(work, Path(images.__file__).parent)
