"""The framing of several streams on one connection (attach, exec, logs), Docker's and Podman's alike: a header of
eight bytes before each piece says which stream it is of and how long it is. Pure. A terminal has one stream only and
comes without frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from cri.errors import Internal

HEADER_BYTES = 8
"""Stream, three bytes of nothing, length as a big-endian number of four bytes."""


class StreamId(IntEnum):
    """Which stream a frame is of."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    SYSTEM_ERROR = 3
    """Not output: the engine says why it stops."""


class Demultiplexer:
    """Feed it bytes as they come; it hands out frames as soon as they are whole."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[StreamId, bytes]]:
        """The frames that ``data`` completes, in order. Take all of them before feeding more.

        Raises Internal for bytes that are not framed, and with the engine's own words when it reports an error.
        """
        self._rest += data
        start = 0
        try:
            while len(self._rest) - start >= HEADER_BYTES:
                end = start + HEADER_BYTES + int.from_bytes(self._rest[start + 4 : start + HEADER_BYTES], "big")
                if self._rest[start] > StreamId.SYSTEM_ERROR or any(self._rest[start + 1 : start + 4]):
                    raise Internal("the engine's output is not framed: is the terminal on?")
                if len(self._rest) < end:
                    return
                stream = StreamId(self._rest[start])
                payload = bytes(self._rest[start + HEADER_BYTES : end])
                start = end
                if stream is StreamId.SYSTEM_ERROR:
                    raise Internal(f"the engine stopped sending output: {payload.decode('utf-8', 'replace').strip()}")
                yield stream, payload
        finally:
            del self._rest[:start]
