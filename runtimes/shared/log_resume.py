"""Going on with a log file where it ends, when an engine sends its log again from some time on.

Neither a lost nor a doubled line may come of it. Times alone do not tell: several records share one, and those of
stdout and stderr may come in another order than that of their times. So the engine is asked for a little more than is
missing, and every record that stands in the file already is left out, as often as it stands there.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cri.logs import Record, parse_record

MARGIN_NS = 1_000_000_000
"""How far out of order the engine's times may be, in nanoseconds."""

BLOCK = 256 * 1024
LIMIT = 16 * 1024 * 1024
"""Bytes read at once, and of text at most, from the end of a log."""


class Tail(NamedTuple):
    """The end of a log, oldest record first. ``reaches``: it goes back ``MARGIN_NS``, or to the log's start."""

    records: Sequence[Record]
    reaches: bool = True


class Resume:
    """Tells the records that a log lacks from those it has. Pure."""

    def __init__(self, tail: Tail) -> None:
        records = tail.records
        self._known = Counter(records)
        self._last_ns = records[-1].timestamp_ns if records else 0
        self.since_ns = max(0, self._last_ns - MARGIN_NS) if tail.reaches else records[0].timestamp_ns
        """Nanoseconds since the epoch; ask the engine for its log from here on. 0 is all of it."""

    def is_new(self, record: Record) -> bool:
        """Whether ``record``, the next one that the engine sends, is missing in the log."""
        if not self._known:
            return True
        if record.timestamp_ns > self._last_ns + MARGIN_NS:
            self._known.clear()
            return True
        if self._known[record] > 0:
            self._known[record] -= 1
            return False
        return True


def read_tail(path: Path, limit: int = LIMIT) -> Tail:
    """The end of the log at ``path``; what was rotated away to ``path.*`` counts where ``path`` itself does not reach
    back far enough. Not much more than ``limit`` bytes are read."""
    newest_first: list[Record] = []
    size = 0
    for file in (path, *_rotated(path)):
        for record in _backwards(file):
            newest_first.append(record)
            size += len(record.text)
            if record.timestamp_ns < newest_first[0].timestamp_ns - MARGIN_NS:
                return Tail(newest_first[::-1])
            if size > limit:
                return Tail(newest_first[::-1], reaches=False)
    return Tail(newest_first[::-1])


def exists(path: Path) -> bool:
    """Whether there is anything left of a log, under its own name or rotated."""
    return path.exists() or bool(_rotated(path))


def _rotated(path: Path) -> list[Path]:
    """The files that ``path`` was renamed to, the latest first. Compressed ones are older than one that is not."""
    try:
        found = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(path.parent) if _is_of(entry, path)]
    except FileNotFoundError:
        return []
    return [Path(name) for _, name in sorted(found, reverse=True)]


def _is_of(entry: os.DirEntry[str], path: Path) -> bool:
    return (
        entry.name.startswith(path.name + ".")
        and not entry.name.endswith((".gz", ".tmp"))
        and entry.is_file(follow_symlinks=False)
    )


def _backwards(path: Path) -> Iterator[Record]:
    """The whole records of one file, the last first. Lines of strangers are skipped."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        end = file.seek(0, os.SEEK_END)
        head = b""
        unfinished = True
        while end > 0:
            start = max(0, end - BLOCK)
            file.seek(start)
            *lines, last = (file.read(end - start) + head).split(b"\n")
            if unfinished:
                last, unfinished = b"", False  # what follows the last line end was torn by a crash
            lines.append(last)
            head, *whole = lines
            yield from _parsed(whole)
            end = start
        yield from _parsed([head])


def _parsed(lines: list[bytes]) -> Iterator[Record]:
    for line in reversed(lines):
        try:
            yield parse_record(line)
        except ValueError:
            continue
