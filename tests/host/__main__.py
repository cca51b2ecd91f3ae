"""`python -m tests.host [--podman] -- CMD ...`: run CMD with an engine, and leave the host as it was.

CMD finds the engine at DOCKER_HOST, with the image `busybox` in it. Exits with CMD's own status;
passes signals on.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from tests.host import processes
from tests.host.engines import docker_engine
from tests.host.errors import EngineError, Unavailable

RUN = "TEST_HOST_RUN"
"""Environment variable that CMD and its descendants carry, so that what it leaves running is found."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Where a signal goes: before the command runs it ends us, then to the command, at last nowhere."""

    def __init__(self) -> None:
        self.command: subprocess.Popen[bytes] | None = None
        self.cleaning = False
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.cleaning:
            return
        if self.command is None:
            self.cleaning = True
            raise SystemExit(128 + number)
        from_terminal = number == signal.SIGINT and sys.stdin.isatty()
        if not from_terminal:
            self.command.send_signal(number)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.host", description=__doc__.partition("\n")[0])
    parser.add_argument("command", nargs="+", metavar="CMD", help="what to run, after --")
    command = parser.parse_args(arguments).command
    signals = Signals()
    try:
        with docker_engine() as engine:
            whose = "a private engine" if engine.private else "the engine already running"
            print(f"tests.host: {whose} at {engine.address}", file=sys.stderr, flush=True)
            try:
                return _run(command, engine.address, signals)
            finally:
                signals.cleaning = True
    except (Unavailable, EngineError) as error:
        print(f"tests.host: {error}", file=sys.stderr)
        return 1


def _run(command: Sequence[str], address: str, signals: Signals) -> int:
    token = f"{os.getpid()}.{processes.started_at(os.getpid())}"
    environment = {**os.environ, "DOCKER_HOST": address, RUN: token}
    try:
        signals.command = subprocess.Popen(command, env=environment)
    except OSError as error:
        print(f"tests.host: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    status = signals.command.wait()
    signals.cleaning = True
    for pid in sorted(processes.marked(f"{RUN}={token}")):
        print(f"tests.host: the command left {processes.command(pid)} running; ended", file=sys.stderr)
        processes.kill(pid, timeout=10.0)
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main())
