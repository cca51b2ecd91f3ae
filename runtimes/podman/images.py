"""Images in the engine's store: list, status, remove, and the space they take. Pulling is in ``pulls``."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from cri import validation
from cri.errors import CRIError, FailedPrecondition, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.podman.engine import Engine
from runtimes.shared import image_status
from runtimes.shared.image_status import ImageFacts
from runtimes.shared.seen import SeenImages
from runtimes.shared.together import Together

DISK_USAGE_TIMEOUT = 3.0
"""Seconds that the engine may take to add up the size of its layers before the file system is asked instead."""


class Images:
    """The image service, less pulling."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._facts: dict[str, ImageFacts] = {}
        self._removing = asyncio.Lock()
        self._seen = SeenImages(self.find)
        self._asked: Together[dict[str, Any] | None] = Together()

    async def list(self, wanted: v1.ImageFilter) -> list[v1.Image]:
        """All images, or the one that the filter names; sorted by name."""
        if wanted.image.image:
            found = await self.find(wanted.image.image)
            return [image_status.image(found, image_status.facts(found))] if found else []
        listed = await self._engine.get("/images/json") or ()
        self._facts = {key: self._facts[key] for key in {row["Id"] for row in listed} & self._facts.keys()}
        known = await asyncio.gather(*(self._facts_of(row["Id"]) for row in listed))
        images = [image_status.image(row, each) for row, each in zip(listed, known, strict=True) if each]
        return sorted(images, key=lambda image: (list(image.repo_tags), image.id))

    async def status(self, spec: v1.ImageSpec) -> tuple[v1.Image, dict[str, Any]] | None:
        """The image and what the engine says of it; None where it is missing."""
        found = await self._asked.ask(spec.image, lambda: self.find(spec.image))
        return (image_status.image(found, image_status.facts(found)), found) if found else None

    async def find(self, text: str) -> dict[str, Any] | None:
        """The inspected image that ``text`` (reference, digest or id) names."""
        name = image_status.engine_name(validation.require("image.image", text))
        try:
            found: dict[str, Any] = await self._engine.get(f"/images/{name}/json")
        except NotFound:
            return None
        return found

    async def seen(self, text: str) -> dict[str, Any] | None:
        """``find``, or what it found a moment ago."""
        return await self._seen.seen(text)

    def look_again(self) -> None:
        """Something was done to the images."""
        self._seen.look_again()

    async def remove(self, spec: v1.ImageSpec) -> None:
        """CRI: one name given, all names removed; a missing image succeeds.

        Raises FailedPrecondition while a container is made from it.
        """
        # One at a time: Podman stumbles over an image that another removal takes away under its hands.
        async with self._removing:
            try:
                await self._remove(spec)
            finally:
                self.look_again()

    async def _remove(self, spec: v1.ImageSpec) -> None:
        found = await self.find(spec.image)
        if found is None:
            return
        await self._require_unused(found["Id"])
        try:
            await self._engine.delete(f"/images/{found['Id']}", params={"force": True})
        except NotFound:
            return
        except FailedPrecondition:
            # Others were built on it: it cannot go, but all its names can.
            for name in found.get("RepoTags") or ():
                await self._engine.post(f"/images/{found['Id']}/untag", params=_repository_and_tag(name))

    async def fs_info(self) -> v1.ImageFsInfoResponse:
        """The engine keeps images and containers below one directory, so both answers are about that one.

        The space used by images is the engine's own sum of its layers; where that takes too long, it is what is in
        use on the file system.
        """
        facts = await self._engine.facts()
        images, containers = await self._disk_usage()
        used, inodes = await asyncio.to_thread(_file_system, facts.root_dir)
        now_ns = time.time_ns()

        def usage(size: int | None) -> v1.FilesystemUsage:
            return v1.FilesystemUsage(
                timestamp=now_ns,
                fs_id=v1.FilesystemIdentifier(mountpoint=facts.root_dir),
                used_bytes=v1.UInt64Value(value=used if size is None else size),
                inodes_used=v1.UInt64Value(value=inodes),
            )

        return v1.ImageFsInfoResponse(image_filesystems=[usage(images)], container_filesystems=[usage(containers)])

    async def _require_unused(self, image_id: str) -> None:
        """Podman's force takes the containers of an image with it, running ones too."""
        for row in await self._engine.get("/containers/json", params={"all": True}) or ():
            if row["ImageID"] == image_id:
                raise FailedPrecondition(f"image {image_id} is used by container {row['Id']}, which is {row['State']}")

    async def _facts_of(self, image_id: str) -> ImageFacts | None:
        """Facts of a listed image, inspected once; None for one that vanished meanwhile."""
        if image_id not in self._facts:
            try:
                inspected = await self._engine.get(f"/images/{image_id}/json")
            except NotFound:
                return None
            self._facts[image_id] = image_status.facts(inspected)
        return self._facts[image_id]

    async def _disk_usage(self) -> tuple[int | None, int | None]:
        """Bytes of all images, and of what containers wrote; None where the engine would not say quickly."""
        try:
            answer = await self._engine.get("/system/df", seconds=DISK_USAGE_TIMEOUT)
        except CRIError:
            return None, None
        containers = sum(int(each.get("RWSize") or 0) for each in answer.get("Containers") or ())
        rows = answer.get("Images") or ()
        images = sum(int(each.get("UniqueSize") or 0) for each in rows)
        shared = max((int(each.get("SharedSize") or 0) for each in rows), default=0)
        return int(answer.get("ImagesSize") or images + shared), containers


def _repository_and_tag(name: str) -> dict[str, str]:
    repository, _, tag = name.rpartition(":")
    return {"repo": repository, "tag": tag}


def _file_system(directory: str) -> tuple[int, int]:
    """Bytes and inodes in use on the file system of ``directory``; zeros for an engine on another machine."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0, 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree
