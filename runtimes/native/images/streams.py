"""The bytes of a layer: decompressed, hashed, and given to tarfile so that no header makes it take all memory."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, cast

from cri.errors import Cancelled
from runtimes.native.images.failures import BadImage

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 1 << 18
"""Bytes that are read at once."""

HEADER_LIMIT = 1 << 20
"""Bytes of one entry's headers; real ones have hundreds."""

_DECOMPRESSORS: Mapping[bytes, Callable[[IO[bytes]], AbstractContextManager[object]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\x28\xb5\x2f\xfd": zstd.ZstdFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""By the bytes that such a file begins with."""

_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, ValueError)


@contextmanager
def opened(blob: Path) -> Iterator[IO[bytes]]:
    """What is in ``blob``, decompressed by what it begins with: gzip, zstd, bzip2, xz, or nothing of these."""
    with blob.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        for magic, decompressor in _DECOMPRESSORS.items():
            if start.startswith(magic):
                with decompressor(file) as decompressed:
                    yield cast(IO[bytes], decompressed)
                return
        yield file


class Pouring:
    """A stream that only goes forward, as a file for ``tarfile``; ``digest`` is that of all bytes that went by.

    Every read raises Cancelled once ``stop`` is set, and BadImage where the compressed bytes are damaged.
    """

    def __init__(self, source: IO[bytes], stop: threading.Event) -> None:
        self._source = source
        self._stop = stop
        self._hash = hashlib.sha256()
        self._position = 0
        self._header: int | None = None
        self.last_block = b""
        """The last that was read as a header."""

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def expect_header(self) -> None:
        """What is read now, until ``expect_content``, is no more than HEADER_LIMIT in all."""
        self._header = HEADER_LIMIT

    def expect_content(self) -> None:
        self._header = None

    def read(self, size: int) -> bytes:
        if self._header is not None:
            self._header -= size
            if self._header < 0:
                raise BadImage(f"the layer has a header of more than {HEADER_LIMIT} bytes")
        data = self._take(size)
        if self._header is not None:
            self.last_block = data
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._position:
            raise BadImage("the layer's headers overlap")
        while self._position < position:
            if not self._take(min(PIECE, position - self._position)):
                break
        return self._position

    def drain(self) -> None:
        """Read what is left, so that the digest is that of the whole."""
        while self._take(PIECE):
            pass

    def _take(self, size: int) -> bytes:
        if self._stop.is_set():
            raise Cancelled("the work on the layer was given up")
        parts = []
        while size:
            part = self._decompressed(min(size, PIECE))
            if not part:
                break
            parts.append(part)
            size -= len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._hash.update(data)
        self._position += len(data)
        return data

    def _decompressed(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except _DAMAGED as error:
            raise BadImage(f"the compressed layer is damaged: {error}") from error
        except OSError as error:
            if error.errno is not None:  # the disk's, not the decompressor's
                raise
            raise BadImage(f"the compressed layer is damaged: {error}") from error
