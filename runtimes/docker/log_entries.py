"""What the engine's logs call sends, as records of a CRI log. Pure.

The engine keeps entries: a time and up to 16 KiB of a line. It sends ``TIME TEXT``, in a frame each; for a terminal
one after the other without any mark between them. Only a line end (or 16 KiB without one) says where an entry ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cri.errors import Internal
from cri.logs.record import MAX_LINE_BYTES, Record, Stream, cut, parse_timestamp
from runtimes.shared.multiplex import Demultiplexer, StreamId

_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) ")
_LONGEST_TIME = len("2026-11-24T13:18:07.477274494+00:00 ")

_STREAMS: dict[StreamId, Stream] = {StreamId.STDOUT: "stdout", StreamId.STDERR: "stderr"}


class FramedEntries:
    """The output of a container without terminal.

    With ``swallows_line_ends`` (every log driver but json-file) the engine forgets whether the last part of a line
    over 16 KiB ended it. A short part that something follows did; so it is kept back until then. When nothing does, it
    is taken to have ended a long line, as nearly every line does; a short line without end is one that never had any.
    """

    def __init__(self, *, swallows_line_ends: bool) -> None:
        self._frames = Demultiplexer()
        self._swallows_line_ends = swallows_line_ends
        self._kept_back: dict[Stream, tuple[int, bytes]] = {}
        self._inside_long_line: set[Stream] = set()

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that ``data`` completes. Raises Internal for bytes that are no log of Docker's."""
        for stream_id, entry in self._frames.feed(data):
            stream = _STREAMS.get(stream_id)
            match = _TIME.match(entry)
            if stream is None or match is None:
                raise Internal(f"the engine's log has an entry without a time: {entry[:80]!r}")
            yield from self._entry(parse_timestamp(match[1].decode("ascii")), stream, entry[match.end() :])

    def _entry(self, timestamp_ns: int, stream: Stream, text: bytes) -> Iterator[Record]:
        before = self._kept_back.pop(stream, None)
        if before is not None:
            yield from cut(before[0], stream, before[1], ends_line=True)
            self._inside_long_line.discard(stream)
        if self._swallows_line_ends and not text.endswith(b"\n") and len(text) % MAX_LINE_BYTES:
            self._kept_back[stream] = (timestamp_ns, text)
            return
        if text.endswith(b"\n"):
            self._inside_long_line.discard(stream)
        else:
            self._inside_long_line.add(stream)
        yield from cut(timestamp_ns, stream, text)

    def end(self) -> Iterator[Record]:
        """What was kept back, once the container has ended: the last line of each stream."""
        for stream, (timestamp_ns, text) in self._kept_back.items():
            yield from cut(timestamp_ns, stream, text, ends_line=stream in self._inside_long_line)
        self._kept_back.clear()


class TerminalEntries:
    """The output of a terminal: entries end to end."""

    def __init__(self) -> None:
        self._rest = b""
        self._timestamp_ns = 0
        self._text_start = 0
        self._inside_line = False

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that ``data`` completes. Raises Internal for bytes that are no log of Docker's."""
        buffer = self._rest + data
        start = 0
        while (end := self._entry_end(buffer, start)) is not None:
            yield from cut(self._timestamp_ns, "stdout", buffer[self._text_start : end])
            self._inside_line = buffer[end - 1 : end] != b"\n"
            start = end
        self._rest = buffer[start:]

    def end(self) -> Iterator[Record]:
        """The unfinished last line, once the container has ended."""
        buffer, self._rest = self._rest, b""
        if buffer and self._read_time(buffer, 0):
            yield from cut(self._timestamp_ns, "stdout", buffer[self._text_start :])

    def _entry_end(self, buffer: bytes, start: int) -> int | None:
        """Where the entry at ``start`` ends; None when it is not whole yet. Reads its time on the way."""
        newline = buffer.find(b"\n", start)
        if newline < 0 and len(buffer) - start < _LONGEST_TIME:
            return None
        if not self._read_time(buffer, start):
            raise Internal(f"the engine's log has an entry without a time: {buffer[start : start + 80]!r}")
        full = self._text_start + MAX_LINE_BYTES
        if 0 <= newline < full:
            return newline + 1
        return full if len(buffer) >= full else None

    def _read_time(self, buffer: bytes, start: int) -> bool:
        """Where the text starts, and its time. A driver with longer entries goes on without a new time."""
        match = _TIME.match(buffer, start)
        if match is not None:
            self._timestamp_ns = parse_timestamp(match[1].decode("ascii"))
            self._text_start = match.end()
        elif self._inside_line:
            self._text_start = start
        else:
            return False
        return True
