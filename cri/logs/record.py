"""One log record and how a stream of output is cut into records. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

Stream = Literal["stdout", "stderr"]

MAX_LINE_BYTES = 16 * 1024
"""CRI: a longer line is split into parts of this size."""

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_STREAMS: dict[bytes, Stream] = {b"stdout": "stdout", b"stderr": "stderr"}


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``text`` has no line end; ``partial`` means that the line goes on in the next record."""

    timestamp_ns: int
    stream: Stream
    partial: bool
    text: bytes

    def encode(self) -> bytes:
        """The record as a line of the file."""
        tag = b"P" if self.partial else b"F"
        return b"%b %b %b %b\n" % (format_timestamp(self.timestamp_ns).encode(), self.stream.encode(), tag, self.text)

    @property
    def printed(self) -> bytes:
        """What the container printed: the text, and its line end where the line is whole."""
        return self.text if self.partial else self.text + b"\n"


@lru_cache(maxsize=64)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_timestamp(timestamp_ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC, always with nine digits so that text order is time order."""
    second, nanosecond = divmod(timestamp_ns, 1_000_000_000)
    return f"{_format_second(second)}.{nanosecond:09d}Z"


@lru_cache(maxsize=64)
def _parse_second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def parse_timestamp(text: str) -> int:
    """RFC 3339 with up to nine digits of fraction -> nanoseconds since the epoch. Raises ValueError."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    second, fraction, zone = match.groups()
    return _parse_second(second + ("+00:00" if zone == "Z" else zone)) * 1_000_000_000 + int(
        (fraction or "").ljust(9, "0")
    )


def parse_record(line: bytes) -> Record:
    """A line of a log file (with or without its line end) -> Record. Raises ValueError on anything else."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) != 4 or parts[1] not in _STREAMS:
        raise ValueError(f"{line[:80]!r} is not a CRI log record")
    # The tag may carry more than P or F one day, separated by colons; the first is what CRI defines.
    tag = parts[2].split(b":")[0]
    if tag not in (b"P", b"F"):
        raise ValueError(f"{parts[2]!r} is neither P nor F in the log record {line[:80]!r}")
    return Record(parse_timestamp(parts[0].decode("ascii")), _STREAMS[parts[1]], tag == b"P", parts[3])


def cut(timestamp_ns: int, stream: Stream, output: bytes, *, ends_line: bool = False) -> Iterator[Record]:
    """Cut ``output`` into records: at line ends, and at 16 KiB inside a line.

    A rest without a line end is a partial record, unless ``ends_line`` says that the engine swallowed the line end.
    """
    *whole, rest = output.split(b"\n")
    for line in whole:
        yield from _cut_line(timestamp_ns, stream, line, partial=False)
    if rest:
        yield from _cut_line(timestamp_ns, stream, rest, partial=not ends_line)


def _cut_line(timestamp_ns: int, stream: Stream, line: bytes, *, partial: bool) -> Iterator[Record]:
    start = 0
    while len(line) - start > MAX_LINE_BYTES:
        yield Record(timestamp_ns, stream, True, line[start : start + MAX_LINE_BYTES])
        start += MAX_LINE_BYTES
    yield Record(timestamp_ns, stream, partial, line[start:])
