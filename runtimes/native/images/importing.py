"""Images from files on this machine: archives and layouts of images, and root file systems that become one."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path

from cri import references
from cri.errors import InvalidArgument, NotFound
from cri.platforms import Platform, host
from runtimes.native.images import archives, packing, sources
from runtimes.native.images.archives import Archive, Kind
from runtimes.native.images.blob_files import BlobFile
from runtimes.native.images.failures import translated
from runtimes.native.images.intake import Intake
from runtimes.native.images.records import ImageRecord
from runtimes.native.images.sources import Found
from runtimes.native.images.store import Store
from runtimes.native.images.threads import apart


class Imports:
    """See ``import_``."""

    def __init__(self, intake: Intake, store: Store) -> None:
        self._intake = intake
        self._store = store

    async def import_(self, path: Path, name: str = "", wanted: Platform | None = None) -> list[ImageRecord]:
        """The images in ``path``: an archive of Docker or OCI, an OCI layout, or a root file system, as a tar or a
        directory. ``name`` is that of the image in place of those that stand there.

        ``wanted`` chooses from an index, and says what a root file system is for. Raises NotFound, BadImage,
        PlatformMismatch, InvalidArgument for a name that would be that of several images.
        """
        reference = references.parse(name, field="name") if name else None
        if reference and reference.digest:
            raise InvalidArgument(f"name: {name!r} has a digest; what an image is called by is name[:tag]")
        async with self._store.arriving() as directory:
            found = await self._look(path, directory, wanted)
            if reference:
                if len(found) > 1:
                    raise InvalidArgument(f"name: {path} holds {len(found)} images, which cannot all be {name!r}")
                found = [Found(each.source, (str(reference),)) for each in found]
            return [await self._bring(each, path, wanted) for each in found]

    async def _bring(self, found: Found, path: Path, wanted: Platform | None) -> ImageRecord:
        title = found.names[0] if found.names else str(path)
        return await self._intake.bring(found.source, title, found.names, wanted=wanted)

    async def _look(self, path: Path, directory: Path, wanted: Platform | None) -> list[Found]:
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            if _is_layout(path):
                return _layout(path)
            layer = await apart(partial(packing.packed, path, directory / "rootfs"))
            return [sources.rootfs_image(layer, layer.descriptor.digest, wanted or host(), directory)]
        if not stat.S_ISREG(mode):
            raise InvalidArgument(f"{path} cannot be imported: it is neither a file nor a directory")
        archive: Archive = await apart(partial(archives.look, path))
        if archive.kind is Kind.ROOTFS:
            layer = BlobFile(path, archive.content)
            return [sources.rootfs_image(layer, archive.content.digest, wanted or host(), directory)]
        contents = await apart(partial(archives.spill, path, directory))
        if archive.kind is Kind.DOCKER:
            return sources.docker_images(contents)
        return sources.layout_images(contents.read("index.json"), lambda digest: contents.find(_blob_path(digest)))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise NotFound(f"{path} cannot be imported: {error.strerror}") from error


def _is_layout(path: Path) -> bool:
    return (path / "oci-layout").is_file() and (path / "index.json").is_file()


def _layout(path: Path) -> list[Found]:
    def place(digest: str) -> Path:
        return path / _blob_path(digest)

    with translated(f"{path} cannot be imported"):
        return sources.layout_images((path / "index.json").read_bytes(), place)


def _blob_path(digest: str) -> str:
    """``digest`` is a checked one: no part of it leads anywhere."""
    return f"blobs/{digest.replace(':', '/')}"
