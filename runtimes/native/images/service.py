"""The image service: what CRI asks of images, over the store."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from cri import validation
from cri.errors import CRIError
from cri.platforms import Platform
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.database import Database
from runtimes.native.images.collection import Collection, is_pinned
from runtimes.native.images.importing import Imports
from runtimes.native.images.intake import Intake
from runtimes.native.images.pulls import Pulls
from runtimes.native.images.records import ImageRecord
from runtimes.native.images.store import Store
from runtimes.native.locks import Locks
from runtimes.native.places import Places
from runtimes.shared import image_status

_log = logging.getLogger(__name__)


class Images:
    """All images on one root."""

    def __init__(self, config: NativeConfig, places: Places, database: Database, locks: Locks) -> None:
        self._settings = config.images
        self._places = places
        self._store = Store.of(places, database, locks)
        intake = Intake(locks, self._store)
        self._imports = Imports(intake, self._store)
        self._pulls = Pulls(config.images, intake)
        self._collection = Collection(config.images, self._store)

    async def recover(self) -> None:
        """Take away what processes have left that ended while they fetched or removed images."""
        await self._store.sweep.run()

    def find(self, text: str) -> ImageRecord | None:
        """The image that ``text`` (reference, digest or id) names. Raises InvalidArgument for what is none of these."""
        return self._store.records.find(validation.require("image.image", text))

    async def import_(self, path: Path, name: str = "", platform: Platform | None = None) -> list[ImageRecord]:
        """See ``Imports.import_``."""
        found = await self._imports.import_(path, name, platform)
        await self._collect()
        return found

    async def pull(self, request: v1.PullImageRequest) -> str:
        """See ``Pulls.pull``."""
        image_id = await self._pulls.pull(request)
        await self._collect()
        return image_id

    async def list(self, wanted: v1.ImageFilter) -> list[v1.Image]:
        """All images, or the one that the filter names; sorted by name."""
        if wanted.image.image:
            found = self.find(wanted.image.image)
            return [self._message(found)] if found else []
        return [self._message(each) for each in self._store.records.all()]

    async def status(self, spec: v1.ImageSpec) -> tuple[v1.Image, dict[str, Any]] | None:
        """The image and what else is known of it; None where it is missing."""
        found = self.find(spec.image)
        if found is None:
            return None
        manifests = self._store.records.manifests(found.id)
        info = {
            "imageSpec": dict(found.config),
            "layers": [str(layer) for layer in found.layers],
            "manifests": {digest: json.loads(content) for digest, content in manifests.items()},
        }
        return self._message(found), info

    async def remove(self, spec: v1.ImageSpec) -> None:
        """CRI: one name given, all names removed; a missing image succeeds.

        Containers that are made of it go on: its layers stay as long as one of them does.
        """
        found = self.find(spec.image)
        if found is not None:
            self._store.records.forget(found.id)
            await self._store.sweep.run()

    async def fs_info(self) -> v1.ImageFsInfoResponse:
        """The space that layers take, and the one that containers have written."""
        layers = self._store.layers.usage()
        written = await self._store.written()
        now_ns = time.time_ns()

        def usage(directory: Path, size: int, inodes: int) -> v1.FilesystemUsage:
            return v1.FilesystemUsage(
                timestamp=now_ns,
                fs_id=v1.FilesystemIdentifier(mountpoint=str(directory)),
                used_bytes=v1.UInt64Value(value=size),
                inodes_used=v1.UInt64Value(value=inodes),
            )

        return v1.ImageFsInfoResponse(
            image_filesystems=[usage(self._places.images, layers.size, layers.inodes)],
            container_filesystems=[usage(self._places.snapshots, written.size, written.inodes)],
        )

    async def _collect(self) -> None:
        try:
            await self._collection.run()
        except CRIError as error:  # the image is there all the same
            _log.warning("images beyond the limit cannot be removed: %s", error.message)

    def _message(self, record: ImageRecord) -> v1.Image:
        inspected = {
            "Id": record.id,
            "RepoTags": record.tags,
            "RepoDigests": record.digests,
            "Size": record.size,
            "Os": record.platform.os,
            "Architecture": record.platform.architecture,
            "Variant": record.platform.variant,
            "Config": record.config.get("config"),
        }
        message = image_status.image(inspected, image_status.facts(inspected))
        message.pinned = is_pinned(record, self._settings)
        return message
