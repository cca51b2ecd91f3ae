"""Waiting for a server that we started: until it answers, ends, or is out of time."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.host.errors import EngineError

_PAUSE = 0.02
"""Seconds between two attempts; no server tells the outside when its socket begins to answer."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def wait_for_socket(process: subprocess.Popen[bytes], sock: Path, log: Path, timeout: float, *, path: str) -> None:
    """Return once `path` answers 200 over the unix socket; see `wait_for`."""
    wait_for(process, lambda left: answers(UnixConnection(sock, left), path), log, timeout)


def wait_for_line(process: subprocess.Popen[bytes], line: str, log: Path, timeout: float) -> None:
    """Return once the server's log holds `line`; see `wait_for`."""
    wait_for(process, lambda left: line in log.read_text(errors="replace"), log, timeout)


def wait_for(process: subprocess.Popen[bytes], is_ready: Callable[[float], bool], log: Path, timeout: float) -> None:
    """Return once `is_ready`, which is told the seconds left, says so.

    Raises EngineError with the end of `log` when the process ends first or `timeout` seconds pass.
    """
    name = Path(str(process.args[0] if isinstance(process.args, list) else process.args)).name
    deadline = time.monotonic() + timeout
    handle = os.pidfd_open(process.pid)
    try:
        while (left := deadline - time.monotonic()) > 0:
            if is_ready(left):
                return
            ended, _, _ = select.select([handle], [], [], _PAUSE)
            if ended:
                raise EngineError(f"{name} ended with status {process.wait()}\n{tail(log)}")
    finally:
        os.close(handle)
    raise EngineError(f"{name} did not answer in {timeout:.0f} s\n{tail(log)}")


def answers(connection: http.client.HTTPConnection, path: str) -> bool:
    """Whether a GET of `path` is answered with 200. Closes the connection."""
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        with connection.getresponse() as answer:
            return answer.status == 200
    return False


def tail(log: Path, lines: int = 30) -> str:
    """The last lines of a log, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
