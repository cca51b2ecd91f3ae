"""A command on a real terminal: a pty whose other end is the test, which reads the screen and types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.orchestrator.commands import MINICRI, PATIENCE, environment

_AGAIN = 0.5
"""Seconds between two questions."""
_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """``typed`` and ``shown``, and the process that sits at it."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int, slave: int) -> None:
        self.process = process
        self._fd = fd
        self._slave = slave
        self.raw = b""
        self._seen = 0

    @property
    def shown(self) -> str:
        """All that was shown, less the escapes."""
        return _ESCAPE.sub(b"", self.raw).decode(errors="replace")

    def modes(self) -> list[Any]:
        """The terminal's settings; raw mode changes them."""
        return termios.tcgetattr(self._slave)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def wait_for(self, text: str) -> None:
        """Read until ``text`` is shown after what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while (at := self.shown.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} was not shown:\n{self.shown}"
        self._seen = at + len(text)

    def ask(self, text: str, until: str) -> None:
        """Type ``text`` again and again until ``until`` is shown: for what changes without a word."""
        deadline = time.monotonic() + PATIENCE
        while self.shown.find(until, self._seen) < 0:
            assert time.monotonic() < deadline, f"{until!r} was not shown:\n{self.shown}"
            self.type(text)
            self._read(time.monotonic() + _AGAIN)
        self._seen = self.shown.find(until, self._seen) + len(until)

    def end(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self._read(min(deadline, time.monotonic() + 0.05))
            assert time.monotonic() < deadline, f"it did not end:\n{self.shown}"
        while self._read(time.monotonic()):
            pass
        return self.process.wait()

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        self.raw += os.read(self._fd, 65536)
        return True


@contextmanager
def terminal(
    folder: Path,
    *arguments: str,
    program: Sequence[str] = MINICRI,
    env: Mapping[str, str] | None = None,
    columns: int = 120,
    lines: int = 30,
) -> Iterator[Terminal]:
    """``minicri``, or another program, with a terminal as its stdin, stdout and stderr."""
    fd, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        variables = environment(folder, TERM="xterm-256color", **(env or {}))
        del variables["COLUMNS"]
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=folder,
            env=variables,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        try:
            yield Terminal(process, fd, slave)
        finally:
            process.kill()
            process.wait(PATIENCE)
    finally:
        os.close(fd)
        os.close(slave)


def _take_terminal() -> None:
    """Make stdin the terminal of the new session, so that Ctrl-C becomes a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
