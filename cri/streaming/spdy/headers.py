"""SPDY/3 header blocks: name/value lists, compressed with one zlib stream for each direction of a connection."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from cri.streaming.spdy.errors import HeadersTooLarge, MalformedHeaders

_WORD = struct.Struct(">I")

# The dictionary of SPDY/3, section 2.6.10.1. The specification prints it as a table of bytes. Its first part is these
# words, each with a 32-bit length before it; its second part is plain text.
_DICTIONARY_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age "
    "allow authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_DICTIONARY_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(
    _WORD.pack(len(word)) + word.replace("_", " ").encode("ascii") for word in _DICTIONARY_WORDS.split()
) + _DICTIONARY_TEXT.encode("ascii")

# Our header blocks are a few dozen bytes, so the smallest window that still holds the dictionary is enough; it
# saves a quarter of a megabyte for each connection.
_WINDOW_BITS = 11
_MEMORY_LEVEL = 1


class HeaderEncoder:
    """Compresses the header blocks that go out on one connection, in the order in which they are sent."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(
            zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, DICTIONARY
        )

    def encode(self, headers: Mapping[str, str]) -> bytes:
        """Names go out in lower case, as the specification demands."""
        block = [_WORD.pack(len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode("latin-1"), value.encode("latin-1")):
                block += (_WORD.pack(len(text)), text)
        return self._deflater.compress(b"".join(block)) + self._deflater.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecoder:
    """Decompresses what comes in. Every block has to pass here, wanted or not: each one is history for the next."""

    def __init__(self, max_bytes: int, max_headers: int) -> None:
        self._max_bytes = max_bytes
        self._max_headers = max_headers
        self._inflater = zlib.decompressobj(zdict=DICTIONARY)

    def decode(self, block: bytes) -> dict[str, str]:
        """Lower-case names to values; several values of one name stay in one text, with NUL between them."""
        try:
            plain = self._inflater.decompress(block, self._max_bytes + 1)
        except zlib.error as error:
            raise MalformedHeaders(f"the header block does not decompress: {error}") from error
        if len(plain) > self._max_bytes or self._inflater.unconsumed_tail:
            raise HeadersTooLarge(f"a header block unfolds to more than {self._max_bytes} bytes")
        if self._inflater.eof:
            raise MalformedHeaders("the peer ended its compression stream in the middle of the connection")
        return self._parse(plain)

    def _parse(self, plain: bytes) -> dict[str, str]:
        count, position = self._number(plain, 0)
        if count > self._max_headers:
            raise HeadersTooLarge(f"{count} headers in one block, the limit is {self._max_headers}")
        headers: dict[str, str] = {}
        for _ in range(count):
            name, position = self._text(plain, position)
            value, position = self._text(plain, position)
            if not name or name != name.lower():
                raise MalformedHeaders(f"header name {name[:64]!r} is empty or not in lower case")
            if name in headers:
                raise MalformedHeaders(f"header {name[:64]!r} is given twice")
            headers[name] = value
        if position != len(plain):
            raise MalformedHeaders(f"{len(plain) - position} bytes are left over after the last header")
        return headers

    def _number(self, plain: bytes, position: int) -> tuple[int, int]:
        if position + _WORD.size > len(plain):
            raise MalformedHeaders("the header block ends in the middle of a number")
        return _WORD.unpack_from(plain, position)[0], position + _WORD.size

    def _text(self, plain: bytes, position: int) -> tuple[str, int]:
        length, start = self._number(plain, position)
        if start + length > len(plain):
            raise MalformedHeaders(f"the header block ends in the middle of a text of {length} bytes")
        return plain[start : start + length].decode("latin-1"), start + length
