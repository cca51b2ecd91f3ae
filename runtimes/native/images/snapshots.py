"""Root file systems of containers: the layers of an image with a writable one on top, and image volumes.

A row tells of a snapshot before anything of it is there, and until nothing is; it keeps the layers, too, so that an
image may be removed under its containers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cri.errors import NotFound
from runtimes.native.database import Database
from runtimes.native.images import overlay, trees
from runtimes.native.images.failures import translated
from runtimes.native.images.mapped import mapped_layers, mount_volume, remove_mount
from runtimes.native.images.mounter import Mounter
from runtimes.native.images.records import ImageRecord
from runtimes.native.images.store import Store
from runtimes.native.locks import Locks
from runtimes.native.places import Places
from runtimes.shared import disk_usage
from runtimes.shared.disk_usage import DiskUsage
from runtimes.shared.inflight import uninterrupted

_REMOVED_IMAGES = "select 1 from snapshot_images where snapshot = ? and image_id not in (select id from images)"


@dataclass(frozen=True, slots=True)
class IdMap:
    """The user namespace of a container: its file in /proc or pinned, and who its root is on the host."""

    namespace: Path
    uid: int
    gid: int


class Snapshots:
    """Of all containers on one root. A container has one snapshot, and any number of image volumes."""

    def __init__(self, places: Places, database: Database, locks: Locks) -> None:
        self._places = places
        self._database = database
        self._store = Store.of(places, database, locks)
        self._mounter = Mounter(places.layers)

    def close(self) -> None:
        """Safe to call twice; mounts stay."""
        self._mounter.close()

    async def mount(
        self, container_id: str, image: ImageRecord, target: Path, *, idmap: IdMap | None = None, label: str = ""
    ) -> Path:
        """Mount a fresh snapshot at ``target``, which is made, and give it back. ``label`` is SELinux's for mounts.

        Raises NotFound for an image that has been removed meanwhile, Unimplemented where the kernel cannot map ids.
        When it fails, nothing stays.
        """
        lowers = self._begin(container_id, image, target, idmap)
        try:
            await uninterrupted(self._mounter.run(partial(self._mount, container_id, lowers, target, idmap, label)))
        except BaseException:
            await uninterrupted(self.unmount(container_id))
            raise
        return target

    async def mount_image_volume(
        self, container_id: str, image: ImageRecord, target: Path, *, sub_path: str = "", idmap: IdMap | None = None
    ) -> Path:
        """Mount an image read-only at ``target``, or what is at ``sub_path`` in it, from where no link leads out.

        ``target`` is made, as a file where ``sub_path`` is one. It goes with ``unmount`` of the container. Raises
        InvalidArgument for a ``sub_path`` that is not there.
        """
        lowers = self._begin(container_id, image, target, idmap)
        work = partial(self._mount_volume, container_id, lowers, target, sub_path, idmap)
        try:
            await uninterrupted(self._mounter.run(work))
        except BaseException:
            await uninterrupted(self._detach(target))
            raise
        return target

    async def unmount(self, container_id: str) -> None:
        """Take away the snapshot and the image volumes of a container, and what was written. One that has none is well.

        Raises FailedPrecondition while something in it is in use.
        """
        with self._database.read() as connection:
            known = connection.execute("select 1 from snapshots where id = ?", (container_id,)).fetchone()
            rows = connection.execute(
                "select target from snapshot_mounts where snapshot = ?", (container_id,)
            ).fetchall()
        if known is None:
            return
        with translated(f"the files of container {container_id} cannot be removed"):
            await asyncio.to_thread(self._clear, container_id, [Path(row["target"]) for row in rows])
        with self._database.write() as connection:
            images = connection.execute(_REMOVED_IMAGES, (container_id,)).fetchall()
            connection.execute("delete from snapshots where id = ?", (container_id,))
        if images:  # their layers were waiting for this
            await self._store.sweep.run()

    def upper(self, container_id: str) -> Path | None:
        """The directory with what the container has written; None for one without a snapshot."""
        directory = self._places.snapshots / container_id / "upper"
        return directory if directory.is_dir() else None

    async def usage(self, container_id: str) -> DiskUsage:
        """What the container has written."""
        upper = self.upper(container_id)
        return await asyncio.to_thread(disk_usage.below, str(upper)) if upper else DiskUsage(0, 0)

    async def recover(self, containers: Callable[[], Collection[str]]) -> None:
        """Take away the snapshots of all other containers. ``containers`` names those in the making, too; it is asked
        after the look at the snapshots, as other processes go on making them."""
        with self._database.read() as connection:
            ids = [str(row["id"]) for row in connection.execute("select id from snapshots")]
        living = containers() if ids else ()
        for container_id in ids:
            if container_id not in living:
                await self.unmount(container_id)

    def _begin(self, container_id: str, image: ImageRecord, target: Path, idmap: IdMap | None) -> Sequence[str]:
        """Write down what is going to be there; the names of the layers, from the topmost down."""
        targets = [target, self._mapped(container_id)] if idmap else [target]
        with self._database.write() as connection:
            rows = connection.execute(
                "select layer from image_layers where image_id = ? order by position desc", (image.id,)
            ).fetchall()
            if not rows:
                raise NotFound(f"image {image.id} has been removed")
            numbers = [int(row["layer"]) for row in rows]
            connection.execute("insert or ignore into snapshots (id) values (?)", (container_id,))
            connection.execute(
                "insert or ignore into snapshot_images (snapshot, image_id) values (?, ?)", (container_id, image.id)
            )
            connection.executemany(
                "insert or ignore into snapshot_layers (snapshot, layer) values (?, ?)",
                [(container_id, number) for number in numbers],
            )
            connection.executemany(
                "insert or replace into snapshot_mounts (target, snapshot) values (?, ?)",
                [(str(target), container_id) for target in targets],
            )
            connection.execute("update images set used_ns = ? where id = ?", (time.time_ns(), image.id))
        return [str(number) for number in numbers]

    def _mount(self, container_id: str, lowers: Sequence[str], target: Path, idmap: IdMap | None, label: str) -> None:
        directory = self._places.snapshots / container_id
        with translated(f"the root file system of container {container_id} cannot be mounted"):
            target.mkdir(mode=0o755, parents=True, exist_ok=True)
            directory.mkdir(mode=0o711)
            upper, work = directory / "upper", directory / "work"
            upper.mkdir()
            work.mkdir()
            topmost = os.stat(lowers[0])
            owner = (idmap.uid, idmap.gid) if idmap else (topmost.st_uid, topmost.st_gid)
            os.chown(upper, *owner)
            os.chmod(upper, topmost.st_mode & 0o7777)
            with self._as_seen(container_id, idmap):
                overlay.mount_writable(lowers, upper, work, target, label=label)

    def _mount_volume(
        self, container_id: str, lowers: Sequence[str], target: Path, sub_path: str, idmap: IdMap | None
    ) -> None:
        with translated(f"image volume {target} cannot be mounted"), self._as_seen(container_id, idmap):
            mount_volume(lowers, target, sub_path)

    def _as_seen(self, container_id: str, idmap: IdMap | None) -> AbstractContextManager[None]:
        return mapped_layers(self._mapped(container_id), idmap.namespace) if idmap else nullcontext()

    def _mapped(self, container_id: str) -> Path:
        """Where the layers are mounted for a moment while a container with a user namespace is made."""
        return self._places.run / "mapped" / container_id

    def _clear(self, container_id: str, targets: Sequence[Path]) -> None:
        for target in targets:
            remove_mount(target)
        trees.remove(self._places.snapshots / container_id)

    async def _detach(self, target: Path) -> None:
        with translated(f"{target} cannot be unmounted"):
            await asyncio.to_thread(remove_mount, target)
        with self._database.write() as connection:
            connection.execute("delete from snapshot_mounts where target = ?", (str(target),))
