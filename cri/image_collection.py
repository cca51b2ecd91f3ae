"""Images that were pulled for something, and go again once nobody needs them: which these are, and how it is seen.

Only what was not there before it was pulled here may go, so whoever uses this keeps what ``pull`` answers. Whatever is
in doubt stays.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cri.errors import Unimplemented
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Times in seconds; a time of 0 is no limit."""

    image_age: float = 86400.0
    """How long an image that was pulled is kept once it is not wanted and no container is made of it."""
    image_grace: float = 120.0
    """How long it is kept at least, even where room is short."""
    image_high: float = 85.0
    """Percent of the images' file system in use above which such images go, the longest unused first ..."""
    image_low: float = 80.0
    """... until no more than this is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """An image that was not there before it was pulled. ``names`` are all that it had then."""

    id: str
    names: tuple[str, ...] = ()
    unused_since: float | None = None
    """Seconds since the epoch; None while it is in use."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The images' file system, in bytes."""

    size: int
    used: int


def stale_images(
    unused: Collection[Pulled], sizes: Mapping[str, int], disk: Disk | None, limits: ImageLimits, now: float
) -> list[str]:
    """Which of the ``unused`` images go, by id; without ``disk``, only by their age."""
    order: Sequence[tuple[float, str]] = sorted(
        (one.unused_since, one.id) for one in unused if one.unused_since is not None
    )
    stale = [image for since, image in order if 0 < limits.image_age <= now - since]
    if disk is None or disk.used * 100 <= limits.image_high * disk.size:
        return stale
    left = disk.used - sum(sizes.get(image, 0) for image in stale)
    for since, image in order:
        if left * 100 <= limits.image_low * disk.size:
            break
        if image not in stale and now - since >= limits.image_grace:
            stale.append(image)
            left -= sizes.get(image, 0)
    return stale


async def pull(runtime: Runtime, request: v1.PullImageRequest) -> Pulled | None:
    """Pull, and answer the image if it was not there before. Raises what the runtime raises."""
    before = {image.id for image in (await runtime.list_images(v1.ListImagesRequest())).images}
    answer = await runtime.pull_image(request)
    found = await _find(runtime, v1.ImageSpec(image=answer.image_ref))
    return Pulled(id=found.id, names=_names(found)) if found is not None and found.id not in before else None


async def looked_at(
    runtime: Runtime, pulled: Iterable[Pulled], wanted: Iterable[v1.ImageSpec], now: float
) -> list[Pulled]:
    """Those of ``pulled`` that are still there, with the time since when nobody needs them: neither are they
    ``wanted``, nor is a container, be it whose it may, made of them."""
    there = {image.id: image for image in (await runtime.list_images(v1.ListImagesRequest())).images}
    used = {found.id for spec in wanted if (found := await _find(runtime, spec)) is not None}
    for one in (await runtime.list_containers(v1.ListContainersRequest())).containers:
        used |= {one.image_id, one.image_ref, one.image.image}
    return [_aged(one, there[one.id], used, now) for one in pulled if one.id in there]


async def stale(runtime: Runtime, pulled: Iterable[Pulled], limits: ImageLimits, now: float) -> list[str]:
    """Which of the images go now, by id."""
    unused = [one for one in pulled if one.unused_since is not None]
    if not unused:
        return []
    sizes = {image.id: image.size for image in (await runtime.list_images(v1.ListImagesRequest())).images}
    return stale_images(unused, sizes, await _disk(runtime), limits, now)


async def _find(runtime: Runtime, spec: v1.ImageSpec) -> v1.Image | None:
    answer = await runtime.image_status(v1.ImageStatusRequest(image=spec))
    return answer.image if answer.HasField("image") else None


async def _disk(runtime: Runtime) -> Disk | None:
    """None where the runtime does not say, or speaks of a file system that is not here."""
    try:
        info = await runtime.image_fs_info(v1.ImageFsInfoRequest())
        mountpoints = [one.fs_id.mountpoint for one in info.image_filesystems if one.fs_id.mountpoint]
        usage = await asyncio.to_thread(shutil.disk_usage, mountpoints[0]) if mountpoints else None
    except (Unimplemented, OSError):
        return None
    return Disk(usage.total, usage.total - usage.free) if usage is not None else None


def _names(image: v1.Image) -> tuple[str, ...]:
    return (*image.repo_tags, *image.repo_digests)


def _aged(pulled: Pulled, image: v1.Image, used: set[str], now: float) -> Pulled:
    """``pulled`` with the time since when nobody needs it. Who gave it another name needs it, and so does a pin."""
    needed = image.pinned or not used.isdisjoint({image.id, *_names(image)}) or not {*_names(image)} <= {*pulled.names}
    return replace(pulled, unused_since=None if needed else pulled.unused_since or now)
