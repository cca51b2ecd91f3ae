"""Blobs in files: hashed, copied, compared with what is said of them. Blocking; ``stop`` gives it up."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cri.errors import Cancelled
from runtimes.native.images.failures import BadImage, translated
from runtimes.native.images.manifests import Descriptor
from runtimes.native.images.streams import PIECE


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A blob, and where it is."""

    path: Path
    descriptor: Descriptor


def measured(path: Path, stop: threading.Event) -> BlobFile:
    """The blob that the file at ``path`` is."""
    if not path.is_file():
        raise BadImage(f"the image lacks the blob {path.name}")
    with translated("a blob cannot be read"), path.open("rb") as file:
        return _blob(path, _pieces(file), stop, None)


def written(path: Path, pieces: Iterable[bytes], stop: threading.Event) -> BlobFile:
    """Put ``pieces`` into a new file at ``path``."""
    with translated("a blob cannot be stored"), path.open("xb") as file:
        return _blob(path, pieces, stop, file)


def require(blob: BlobFile, wanted: Descriptor) -> Path:
    """Where the blob is. Raises BadImage when it is another one than ``wanted``."""
    if blob.descriptor != wanted:
        found = blob.descriptor
        raise BadImage(
            f"the blob {wanted.digest} of {wanted.size} bytes is damaged: it is {found.digest} of {found.size} bytes"
        )
    return blob.path


def _blob(path: Path, pieces: Iterable[bytes], stop: threading.Event, copy: IO[bytes] | None) -> BlobFile:
    hashed, size = hashlib.sha256(), 0
    for piece in pieces:
        if stop.is_set():
            raise Cancelled("the work on the image was given up")
        hashed.update(piece)
        size += len(piece)
        if copy:
            copy.write(piece)
    return BlobFile(path, Descriptor(f"sha256:{hashed.hexdigest()}", size))


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
