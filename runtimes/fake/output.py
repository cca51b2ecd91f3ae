"""Where a container's output goes: its CRI log file, and whoever is attached."""

from __future__ import annotations

import logging
from pathlib import Path

from cri.logs import MAX_LINE_BYTES, LogWriter
from cri.logs.record import Stream, cut
from runtimes.fake.clock import Clock
from runtimes.fake.pipes import Sink

_log = logging.getLogger(__name__)


class ContainerLog:
    """The log file: whole lines as they come, the rest of an unfinished one at the end (CRI: tagged P)."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._writer = LogWriter(path)
        self._clock = clock
        self._held: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}

    def write(self, stream: Stream, data: bytes) -> None:
        text = self._held[stream] + data
        end = text.rfind(b"\n") + 1
        if len(text) - end > MAX_LINE_BYTES:
            end += (len(text) - end) // MAX_LINE_BYTES * MAX_LINE_BYTES
        self._held[stream] = text[end:]
        self._append(stream, text[:end])

    def reopen(self) -> None:
        """Go on in a fresh file at the same path. Raises OSError, and goes on in the old one."""
        self._writer.reopen()

    def close(self) -> None:
        for stream, rest in self._held.items():
            self._append(stream, rest)
        self._held = {"stdout": b"", "stderr": b""}
        self._writer.close()

    def _append(self, stream: Stream, data: bytes) -> None:
        if data:
            try:
                self._writer.write(cut(self._clock.now_ns(), stream, data))
            except OSError as error:
                # As in every engine, a full disk costs output and not the container.
                _log.warning("output of a fake container is lost: %s: %s", self._writer.path, error)


class Output:
    """One output stream of a container."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.log: ContainerLog | None = None
        self.attached: list[Sink] = []

    async def write(self, data: bytes) -> None:
        if self.log is not None:
            self.log.write(self._stream, data)
        for sink in list(self.attached):
            try:
                await sink.write(data)
            except (BrokenPipeError, ConnectionError):
                self.attached.remove(sink)
