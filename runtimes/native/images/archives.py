"""Archives of images: what kind one is, and what is in it, put into numbered files, so that no name in it is a path."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from runtimes.native.images import streams
from runtimes.native.images.blob_files import BlobFile, written
from runtimes.native.images.entries import Entry, entries
from runtimes.native.images.failures import BadImage, translated
from runtimes.native.images.manifests import SIZE_LIMIT, Descriptor

_LINKS = 8


class Kind(Enum):
    """By what is in it."""

    DOCKER = "docker-archive"
    OCI = "oci-archive"
    ROOTFS = "rootfs"


@dataclass(frozen=True, slots=True)
class Archive:
    """What a look at an archive tells. ``content`` is that of the tar, decompressed."""

    kind: Kind
    content: Descriptor


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an archive, by the names that they have in it."""

    files: Mapping[str, BlobFile]
    links: Mapping[str, str]
    """What a name stands for."""

    def find(self, name: str) -> BlobFile:
        """Raises BadImage for what is not in the archive."""
        path = posixpath.normpath(name)
        for _ in range(_LINKS):
            if path in self.files:
                return self.files[path]
            if path not in self.links:
                break
            path = self.links[path]
        raise BadImage(f"the archive lacks {name!r}, of which it speaks")

    def read(self, name: str) -> bytes:
        """A document in it. Raises BadImage for one that is too long."""
        found = self.find(name)
        if found.descriptor.size > SIZE_LIMIT:
            raise BadImage(f"{name!r} in the archive has {found.descriptor.size} bytes; {SIZE_LIMIT} is the limit")
        with translated("the archive cannot be read"):
            return found.path.read_bytes()


def look(path: Path, stop: threading.Event) -> Archive:
    """Raises BadImage for what is no tar, compressed or not."""
    names = set()
    with _entries(path, stop) as (stream, found):
        for entry in found:
            if "/" not in entry.path:
                names.add(entry.path)
        stream.drain()
        content = Descriptor(stream.digest, stream.tell())
    # Newer archives of Docker are both; the names of their images are Docker's.
    kind = Kind.DOCKER if "manifest.json" in names else Kind.OCI if "index.json" in names else Kind.ROOTFS
    return Archive(kind, content)


def spill(path: Path, directory: Path, stop: threading.Event) -> Contents:
    """Put the files of the archive into ``directory``."""
    files: dict[str, BlobFile] = {}
    links: dict[str, str] = {}
    with _entries(path, stop) as (_, found):
        for number, entry in enumerate(found):
            if entry.kind == "file":
                files[entry.path] = written(directory / f"file-{number}", entry.content, stop)
            elif entry.kind == "symlink":
                links[entry.path] = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target))
            elif entry.kind == "hardlink":
                links[entry.path] = entry.target
    return Contents(files, links)


@contextmanager
def _entries(path: Path, stop: threading.Event) -> Iterator[tuple[streams.Pouring, Iterator[Entry]]]:
    with translated(f"{path} cannot be read"), streams.opened(path) as source:
        stream = streams.Pouring(source, stop)
        yield stream, entries(stream)
