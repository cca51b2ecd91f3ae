"""Taking an image in, from wherever: what is missing is fetched, unpacked and recorded, or nothing of it stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

from cri.errors import PlatformMismatch
from cri.platforms import Platform
from runtimes.native import kernel
from runtimes.native.images import manifests, trees
from runtimes.native.images.building import Plan, build
from runtimes.native.images.failures import BadImage, translated
from runtimes.native.images.layers import KIND
from runtimes.native.images.manifests import Config, Descriptor
from runtimes.native.images.records import Arrived, ImageRecord
from runtimes.native.images.store import Store
from runtimes.native.images.threads import apart
from runtimes.native.locks import Locks
from runtimes.shared.inflight import uninterrupted

DOWNLOADS = 3
"""Layers of one image that are fetched at once, as other engines do."""


class Source(Protocol):
    """Where an image comes from."""

    async def manifest(self, digest: str | None) -> bytes:
        """The manifest or index with that digest; None: the one that was asked for. Not verified yet."""

    async def blob(self, descriptor: Descriptor, target: Path) -> Path:
        """A file with that blob, verified: ``target``, made here, or one that is there anyway. It may vanish with the
        directory of ``target``. Raises BadImage."""


class Intake:
    """See ``bring``."""

    def __init__(self, locks: Locks, store: Store) -> None:
        self._locks = locks
        self._layers = store.layers
        self._records = store.records
        self._store = store

    async def bring(
        self,
        source: Source,
        title: str,
        names: Collection[str],
        *,
        repository: str = "",
        wanted: Platform | None = None,
    ) -> ImageRecord:
        """The image, recorded under ``names``, and with ``repository`` under its digests there, too.

        ``title`` names it in errors. Raises PlatformMismatch, BadImage, ResourceExhausted, and what ``source`` raises.
        """
        async with self._store.arriving() as directory:
            return await self._bring(source, title, names, repository, wanted, directory)

    async def _bring(
        self,
        source: Source,
        title: str,
        names: Collection[str],
        repository: str,
        wanted: Platform | None,
        directory: Path,
    ) -> ImageRecord:
        content = await source.manifest(None)
        kept = {manifests.digest(content): content}
        among = manifests.candidates(content)
        if among is not None:
            chosen = manifests.choose(among, wanted, title)
            content = await source.manifest(chosen.digest)
            if manifests.digest(content) != chosen.digest:
                raise BadImage(f"the manifest of {title} is not the one that its index names")
            kept[chosen.digest] = content
        manifest = manifests.manifest(content)
        config_blob = await source.blob(_config_of(manifest.config), directory / "config")
        with translated(f"image {title} cannot be taken in"):
            config_content = config_blob.read_bytes()
        config = manifests.config(config_content, len(manifest.layers))
        if wanted and not wanted.runs(config.platform):
            raise PlatformMismatch(f"image {title} is for {config.platform}, not for {wanted}")
        numbers = await self._layers_of(source, config, manifest.layers, directory)
        digests = [f"{repository}@{each}" for each in kept] if repository else []
        return self._records.add(Arrived(config, config_content, numbers, kept, [*names, *digests]))

    async def _layers_of(
        self, source: Source, config: Config, descriptors: Sequence[Descriptor], directory: Path
    ) -> list[int]:
        """Numbers of the layers, from the lowest up; those that are missing are made.

        Locks are taken from the lowest layer up, by everybody, so nobody waits in a circle.
        """
        chains = manifests.chain_ids(config.diff_ids)
        numbers = [self._layers.find(chain) for chain in chains]
        fetches: dict[int, asyncio.Task[Path]] = {}
        few = asyncio.Semaphore(DOWNLOADS)
        async with AsyncExitStack() as held:
            try:
                for index, chain in enumerate(chains):
                    if numbers[index] is None:
                        await held.enter_async_context(self._locks.hold(KIND, chain))
                        numbers[index] = self._layers.find(chain)
                    if numbers[index] is None:
                        fetch = _fetch(few, source, descriptors[index], directory / f"layer-{index}")
                        fetches[index] = asyncio.create_task(fetch)
                done: list[int] = []
                for index, chain in enumerate(chains):
                    number = numbers[index]
                    if number is None:
                        number = await self._make(chain, config.diff_ids[index], done, await fetches[index], directory)
                    done.append(number)
                if fetches:
                    await asyncio.to_thread(_sync, self._layers.directory)
                return done
            finally:
                for fetch_task in fetches.values():
                    fetch_task.cancel()
                await asyncio.gather(*fetches.values(), return_exceptions=True)

    async def _make(self, chain: str, diff_id: str, below: Sequence[int], blob: Path, directory: Path) -> int:
        number = self._layers.begin(chain)
        workspace = directory / f"work-{number}"
        try:
            with translated(f"layer {diff_id} cannot be unpacked"):
                workspace.mkdir()
            plan = Plan(blob, diff_id, self._layers.directory, number, below[::-1], workspace)
            self._layers.finish(number, await apart(partial(build, plan)))
        except BaseException:
            await uninterrupted(self._layers.discard(number))
            raise
        finally:
            for done in (workspace, blob) if blob.parent == directory else (workspace,):
                await uninterrupted(asyncio.to_thread(trees.remove, done))
        return number


def _config_of(descriptor: Descriptor) -> Descriptor:
    if descriptor.size > manifests.SIZE_LIMIT:
        raise BadImage(f"the image's config has {descriptor.size} bytes; {manifests.SIZE_LIMIT} is the limit")
    return descriptor


async def _fetch(few: asyncio.Semaphore, source: Source, descriptor: Descriptor, target: Path) -> Path:
    async with few:
        return await source.blob(descriptor, target)


def _sync(directory: Path) -> None:
    """Before an image is recorded, its layers are on the disk: a power cut must not leave an image of empty files."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with translated("the layers cannot be written to the disk"):
            kernel.syncfs(opened)
    finally:
        os.close(opened)
