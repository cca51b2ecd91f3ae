"""Writing a log file: append records, reopen after rotation, mend what a crash tore."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from cri.logs.record import MAX_LINE_BYTES, Record

_LONGEST_RECORD = MAX_LINE_BYTES + 128


class LogWriter:
    """Appends records to ``path``. One record is one ``write``, so a reader never sees a half line of a live file.

    The file is made with mode 0640, its missing directories with 0750. A crash in the middle of a write may leave
    an unfinished last line; opening cuts it off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._file = self._open(os.O_CREAT)
        try:
            _cut_torn_line(self._file)
        except OSError:
            self.close()
            raise

    def _open(self, flags: int) -> int:
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o640)

    def write(self, records: Iterable[Record]) -> None:
        """Append ``records``. Raises OSError (disk full); what was written before stays whole."""
        for record in records:
            line = record.encode()
            written = os.write(self._file, line)
            if written != len(line):
                # Take the torn record back before saying so: the file stays readable.
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(f"{self.path}: only {written} of {len(line)} bytes of a log record could be written")

    def reopen(self) -> None:
        """Go on in a fresh file at the same path, after somebody renamed the old one.

        CRI's ReopenContainerLog: on an error nothing is created, and writing goes on in the old file.
        """
        fresh = self._open(os.O_CREAT)
        os.close(self._file)
        self._file = fresh

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cut_torn_line(file: int) -> None:
    size = os.fstat(file).st_size
    start = max(0, size - _LONGEST_RECORD)
    tail = os.pread(file, size - start, start)
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(file, start + tail.rfind(b"\n") + 1)
