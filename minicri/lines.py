"""Lines of a task's output on the way to stdout and stderr: prefixed and whole."""

from __future__ import annotations

import sys
from typing import BinaryIO

from minicri.printing import moment
from orchestrator.v1 import orchestrator_pb2 as pb


class LineWriter:
    """Writes a task's lines, each stream to its own. A line in parts is put together again as the parts come."""

    def __init__(self, prefix: str = "", *, timestamps: bool = False) -> None:
        self._prefix = prefix.encode()
        self._timestamps = timestamps
        self._open: dict[int, BinaryIO] = {}

    def write(self, line: pb.LogsResponse) -> None:
        """Write one line, or a part of one."""
        out = sys.stderr.buffer if line.stream == pb.LogsResponse.STREAM_STDERR else sys.stdout.buffer
        begin = b""
        if line.stream not in self._open:
            time = f"{moment(line.time_ns)} ".encode() if self._timestamps else b""
            begin = self._prefix + time
        out.write(begin + line.line + (b"" if line.partial else b"\n"))
        out.flush()
        if line.partial:
            self._open[line.stream] = out
        else:
            self._open.pop(line.stream, None)

    def close(self) -> None:
        """End a line that was never ended, so that the next one begins where it should."""
        for out in self._open.values():
            out.write(b"\n")
            out.flush()
        self._open.clear()
