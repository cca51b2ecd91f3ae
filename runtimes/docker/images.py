"""Images in the engine's store: list, status, remove, and the space they take. Pulling is in ``pulls``."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any
from weakref import WeakValueDictionary

from cri import platforms, validation
from cri.errors import CRIError, FailedPrecondition, Internal, NotFound
from cri.platforms import Platform
from cri.v1 import api_pb2 as v1
from runtimes.docker import image_look
from runtimes.docker.engine import Engine
from runtimes.docker.features import api_tuple
from runtimes.shared import image_status
from runtimes.shared.image_status import ImageFacts
from runtimes.shared.seen import SeenImages
from runtimes.shared.together import Together

DISK_USAGE_TIMEOUT = 3.0
"""Seconds that the engine may take to add up the size of its layers before the file system is asked instead."""

_TYPED_DISK_USAGE = (1, 42)
_SUMMED_DISK_USAGE = (1, 52)


class Images:
    """The image service, less pulling."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._facts: dict[str, ImageFacts] = {}
        self._removing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._seen = SeenImages(self.find)
        self._asked: Together[dict[str, Any] | None] = Together()

    async def list(self, wanted: v1.ImageFilter) -> list[v1.Image]:
        """All images, or the one that the filter names; sorted by name."""
        if wanted.image.image:
            found = await self.find(wanted.image.image)
            return [image_status.image(found, image_status.facts(found))] if found else []
        listed = await self._engine.call(self._engine.client.images)
        self._facts = {key: self._facts[key] for key in {row["Id"] for row in listed} & self._facts.keys()}
        known = await asyncio.gather(*(self._facts_of(row["Id"]) for row in listed))
        images = [image_status.image(row, each) for row, each in zip(listed, known, strict=True) if each]
        return sorted(images, key=lambda image: (list(image.repo_tags), image.id))

    async def status(self, spec: v1.ImageSpec) -> tuple[v1.Image, dict[str, Any]] | None:
        """The image and what the engine says of it; None where it is missing, for the platform that is asked for."""
        wanted = platforms.wanted(spec.annotations)
        found = await self._asked.ask(f"{spec.image} {wanted}", lambda: self.find(spec.image, wanted))
        return (image_status.image(found, image_status.facts(found)), found) if found else None

    async def find(self, text: str, wanted: Platform | None = None) -> dict[str, Any] | None:
        """The inspected image that ``text`` (reference, digest or id) names, for a platform where one is wanted."""
        name = image_status.engine_name(validation.require("image.image", text))
        try:
            found = await image_look.look(self._engine, name, wanted)
        except NotFound:
            return None
        if found is None or (wanted and not wanted.runs(image_status.facts(found).platform)):
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

        Raises FailedPrecondition while a container runs from it.
        """
        try:
            await self._remove_named(spec)
        finally:
            self.look_again()

    async def _remove_named(self, spec: v1.ImageSpec) -> None:
        found = await self.find(spec.image)
        if found is None:
            return
        # The engine answers one call that the image is gone while it is at removing it for another.
        async with self._removing.setdefault(found["Id"], asyncio.Lock()):
            found = await self.find(found["Id"])
            if found is not None:
                await self._remove(found)

    async def _remove(self, found: dict[str, Any]) -> None:
        try:
            await self._delete(found["Id"], force=True)
        except FailedPrecondition:
            # Others were built on it: it cannot go, but all its names can.
            names = [*(found.get("RepoTags") or ()), *(found.get("RepoDigests") or ())]
            if not names:
                raise
            for name in names:
                await self._delete(name, force=False)

    async def fs_info(self) -> v1.ImageFsInfoResponse:
        """The engine keeps images and containers below one directory, so both answers are about that one.

        The space used by images is the engine's own sum of its layers; where that takes too long, it is what is in
        use on the file system.
        """
        facts = await self._engine.facts()
        images, containers = await self._disk_usage(api_tuple(facts.api_version))
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

    async def _facts_of(self, image_id: str) -> ImageFacts | None:
        """Facts of a listed image, inspected once; None for one that vanished meanwhile."""
        if image_id not in self._facts:
            inspected = await self.find(image_id)
            if inspected is None:
                return None
            self._facts[image_id] = image_status.facts(inspected)
        return self._facts[image_id]

    async def _delete(self, name: str, *, force: bool) -> None:
        try:
            await self._engine.call(self._engine.client.remove_image, name, force=force)
        except NotFound:
            return
        except Internal:
            # "unrecognized image ID": somebody else removed it while the engine was at it.
            if await self.find(name) is not None:
                raise

    async def _disk_usage(self, api: tuple[int, int]) -> tuple[int | None, int | None]:
        """Bytes of all layers, and of what containers wrote; None where the engine would not say quickly."""
        # The SDK's df() cannot name a type, and without one the engine also walks through every volume.
        params = {"type": ["image", "container"]} if api >= _TYPED_DISK_USAGE else {}
        ask = self._engine.client.ask
        try:
            found = await self._engine.call_within(DISK_USAGE_TIMEOUT, ask, "GET", "/system/df", params=params)
        except CRIError:
            return None, None
        answer = found.json()
        if api >= _SUMMED_DISK_USAGE:
            images, containers = (answer.get(each) or {} for each in ("ImageUsage", "ContainerUsage"))
            return int(images.get("TotalSize") or 0), int(containers.get("TotalSize") or 0)
        containers = sum(int(each.get("SizeRw") or 0) for each in answer.get("Containers") or ())
        return int(answer.get("LayersSize") or 0), containers


def _file_system(directory: str) -> tuple[int, int]:
    """Bytes and inodes in use on the file system of ``directory``; zeros for an engine on another machine."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0, 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree
