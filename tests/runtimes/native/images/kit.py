"""Layers entry by entry, images of several layers, and a store to put them in."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtimes.native.config import ImageSettings, NativeConfig
from runtimes.native.database import Database
from runtimes.native.images import SCHEMA, Images, Snapshots
from runtimes.native.images.manifests import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from runtimes.native.images.store import Store
from runtimes.native.locks import Locks
from runtimes.native.places import Places
from tests.host import images


@dataclass(frozen=True)
class Item:
    """One entry of a tar; ``type`` is one of tarfile's."""

    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] | None = None


def directory(name: str, mode: int = 0o755, **more: Any) -> Item:
    return Item(name, type=tarfile.DIRTYPE, mode=mode, **more)


def symlink(name: str, target: str) -> Item:
    return Item(name, type=tarfile.SYMTYPE, link=target)


def hardlink(name: str, target: str) -> Item:
    return Item(name, type=tarfile.LNKTYPE, link=target)


def layer(*items: Item) -> bytes:
    """The tar, uncompressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for item in items:
            member = tarfile.TarInfo(item.name)
            member.type, member.linkname, member.mode = item.type, item.link, item.mode
            member.uid, member.gid, member.mtime = item.uid, item.gid, item.mtime
            member.devmajor, member.devminor = item.device
            member.pax_headers = {
                f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
                for key, value in (item.xattrs or {}).items()
            }
            member.size = len(item.data)
            tar.addfile(member, io.BytesIO(item.data))
    return buffer.getvalue()


@dataclass(frozen=True)
class Layered:
    """An image of several layers. ``stored`` are the same as they lie in a registry, compressed for instance."""

    layers: Sequence[bytes]
    stored: Sequence[bytes] = ()
    architecture: str = ""
    config: Mapping[str, Any] | None = None

    def config_blob(self) -> bytes:
        return _json(
            {
                "os": "linux",
                "architecture": self.architecture or images.host_architecture(),
                "config": dict(self.config or {}),
                "rootfs": {"type": "layers", "diff_ids": [images.digest(each) for each in self.layers]},
            }
        )

    @property
    def id(self) -> str:
        return images.digest(self.config_blob())

    @property
    def blobs(self) -> list[bytes]:
        return [self.config_blob(), *(self.stored or self.layers)]

    def manifest(self) -> bytes:
        config, *layers = self.blobs
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": images.descriptor(config, OCI_CONFIG),
                "layers": [images.descriptor(each, OCI_LAYER) for each in layers],
            }
        )


def index(*members: Layered) -> bytes:
    """An index from which a client picks its platform."""
    entries = [
        images.descriptor(each.manifest(), OCI_MANIFEST)
        | {"platform": {"os": "linux", "architecture": each.architecture or images.host_architecture()}}
        for each in members
    ]
    return _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def layout(place: Path, *named: tuple[str, Layered]) -> Path:
    """An OCI layout in the directory ``place``; an empty name names nothing."""
    entries = []
    for name, image in named:
        entry = images.descriptor(image.manifest(), OCI_MANIFEST)
        if name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        entries.append(entry)
        for blob in (image.manifest(), *image.blobs):
            put_blob(place, blob)
    (place / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (place / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": entries}))
    return place


def put_blob(place: Path, blob: bytes) -> Path:
    path = place / "blobs" / images.digest(blob).replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(blob)
    return path


class Engine:
    """The image store of one process on a root; several may share one."""

    def __init__(self, base: Path, settings: ImageSettings | None = None) -> None:
        config = NativeConfig(root=base / "root", run=base / "run", images=settings or ImageSettings())
        self.places = Places.of(config)
        self.database = Database(self.places.database, [SCHEMA])
        self.locks = Locks(self.places.locks)
        self.images = Images(config, self.places, self.database, self.locks)
        self.snapshots = Snapshots(self.places, self.database, self.locks)
        self.store = Store.of(self.places, self.database, self.locks)

    def close(self) -> None:
        self.snapshots.close()
        self.locks.close()
        self.database.close()

    def rows(self, table: str) -> int:
        with self.database.read() as connection:
            return int(connection.execute(f"select count(*) from {table}").fetchone()[0])

    def left(self) -> dict[str, list[str]]:
        """What is on the disk, by directory."""
        kept = {"layers": self.places.layers, "arrivals": self.places.arrivals, "snapshots": self.places.snapshots}
        return {key: sorted(each.name for each in place.iterdir() if each.name != "0") for key, place in kept.items()}

    def require_empty(self) -> None:
        """Nothing is left of any image: no file, no row."""
        assert self.left() == {"layers": [], "arrivals": [], "snapshots": []}
        tables = ("layers", "images", "image_layers", "image_names", "manifests", "arrivals", "snapshots")
        assert {table: self.rows(table) for table in tables} == dict.fromkeys(tables, 0)


@contextmanager
def engine(base: Path, settings: ImageSettings | None = None) -> Iterator[Engine]:
    made = Engine(base, settings)
    try:
        yield made
    finally:
        made.close()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
