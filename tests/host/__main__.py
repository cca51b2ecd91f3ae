"""`python -m tests.host [--podman | --native] -- CMD ...`: run CMD with an engine, and leave the host as it was.

CMD finds the engine, with the image `busybox` in it, at DOCKER_HOST; with --podman at CONTAINER_HOST; with --native by
minicri's configuration. Exits with CMD's own status; passes signals on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import FrameType

from tests.host import processes
from tests.host.engines import DockerEngine, docker_engine
from tests.host.errors import EngineError, Unavailable
from tests.host.native import private_native
from tests.host.podmans import PodmanEngine, podman_engine

RUN = "TEST_HOST_RUN"
"""Environment variable that CMD and its descendants carry, so that what it leaves running is found."""
NATIVE = "MINICRI_RUNTIMES__NATIVE"
"""Environment variable that is the native engine's section of minicri's configuration."""
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


@contextlib.contextmanager
def _docker() -> Iterator[dict[str, str]]:
    with docker_engine() as engine:
        yield _found("DOCKER_HOST", engine)


@contextlib.contextmanager
def _podman() -> Iterator[dict[str, str]]:
    with podman_engine() as engine:
        yield _found("CONTAINER_HOST", engine)


@contextlib.contextmanager
def _native() -> Iterator[dict[str, str]]:
    with private_native(pulls=False) as options:
        yield {NATIVE: json.dumps(options)}


def _found(variable: str, engine: DockerEngine | PodmanEngine) -> dict[str, str]:
    whose = "a private engine" if engine.private else "the engine already running"
    print(f"tests.host: {whose} at {engine.address}", file=sys.stderr, flush=True)
    return {variable: engine.address}


ENGINES: dict[str, Callable[[], AbstractContextManager[dict[str, str]]]] = {
    "docker": _docker,
    "podman": _podman,
    "native": _native,
}
"""Each yields the environment by which CMD finds it."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.host", description=__doc__.partition("\n")[0])
    which = parser.add_mutually_exclusive_group()
    for name in ENGINES:
        default = " (default)" if name == "docker" else ""
        which.add_argument(f"--{name}", dest="engine", action="store_const", const=name, help=f"on {name}{default}")
    which.set_defaults(engine="docker")
    parser.add_argument("command", nargs="+", metavar="CMD", help="what to run, after --")
    parsed = parser.parse_args(arguments)
    signals = Signals()
    try:
        with ENGINES[parsed.engine]() as environment:
            try:
                return _run(parsed.command, environment, signals)
            finally:
                signals.cleaning = True
    except (Unavailable, EngineError) as error:
        print(f"tests.host: {error}", file=sys.stderr)
        return 1


def _run(command: Sequence[str], found: dict[str, str], signals: Signals) -> int:
    token = f"{os.getpid()}.{processes.started_at(os.getpid())}"
    environment = {**os.environ, **found, RUN: token}
    try:
        signals.command = subprocess.Popen(command, env=environment)
    except OSError as error:
        print(f"tests.host: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    status = signals.command.wait()
    signals.cleaning = True
    seen = processes.those_of_now()
    for pid in sorted(processes.marked(f"{RUN}={token}")):
        print(f"tests.host: the command left {processes.command(pid)} running; ended", file=sys.stderr)
        processes.kill(pid, 10.0, seen)
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main())
