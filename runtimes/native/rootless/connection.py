"""How the user's server is found, and how it knows that somebody is connected."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

SOCKET = "engine.sock"
CLIENTS = "clients"


def answers_at(run: Path) -> bool:
    """Whether a server listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(str(run / SOCKET))
        except OSError:
            return False
    return True


def hold(run: Path) -> int:
    """A descriptor that says "connected" until it is closed. Blocks while a server is about to leave."""
    file = _clients(run)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def wait_until_alone(run: Path) -> int:
    """Block until nobody is connected; a descriptor that keeps everybody out until it is closed."""
    file = _clients(run)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def is_alone(run: Path) -> int | None:
    """As ``wait_until_alone``, without waiting: None when somebody is connected."""
    file = _clients(run)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _clients(run: Path) -> int:
    return os.open(run / CLIENTS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
