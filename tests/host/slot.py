"""A numbered place on the host for one private engine, which names all that the engine has on the host.

A slot is held by a lock on a file, which the kernel gives back however the holder ends. A directory whose
lock is free is therefore what a killed run has left, and `claim` removes it before it takes a number. A
keeper process does the same as soon as the holder is gone, so that as a rule there is nothing left to find.

Numbers are the host's: runs with different directories share its links, routes and cgroups.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.host import host_wide
from tests.host.errors import Unavailable
from tests.host.names import KEEPER, MARK, Names, base
from tests.host.sweep import sweep

SLOTS = 50
RELEASED = b"released"
"""What the keeper hears when there is nothing left for it to do."""


@dataclass(frozen=True)
class Slot(Names):
    """A slot that this process holds, until `release` or the end of the process."""

    _lock: IO[str] = field(repr=False)
    _number: socket.socket = field(repr=False)
    _keeper: subprocess.Popen[bytes] = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The environment for processes of this slot: this process's own, marked."""
        return {**os.environ, MARK: str(self.path)}

    def release(self) -> None:
        """Remove all that the slot has on the host, and give the number back. Twice is harmless."""
        if self._lock.closed:
            return
        with base_lock():
            sweep(self)
            self.lock.unlink(missing_ok=True)
            self._lock.close()
            self._number.close()
            _remove_base_when_empty()
        self._keeper.communicate(RELEASED, timeout=60)


def claim() -> Slot:
    """Take a free slot, after removing what dead runs have left.

    Raises Unavailable when the process is not root or every slot is taken.
    """
    if os.geteuid() != 0:
        raise Unavailable("a private engine needs root: run as root, or start an engine and set DOCKER_HOST")
    with base_lock():
        for names in left_behind():
            with contextlib.suppress(BlockingIOError), _try_lock(names.lock):
                sweep(names)
                names.lock.unlink()
        for number in range(SLOTS):
            names = Names(number)
            if names.lock.exists() or _in_use(names.network) or not (ours := _take_number(number)):
                continue
            lock = names.lock.open("w")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            names.path.mkdir(mode=0o711)
            host_wide.note(names)
            return Slot(number, lock, ours, _start_keeper(number, ours))
    raise Unavailable(f"all {SLOTS} slots of this host are in use, or 10.200.0.0 to 10.249.0.0 are routed")


def _take_number(number: int) -> socket.socket | None:
    """What holds the number for as long as it is open, here or in the keeper; None while somebody else has it."""
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0minicri-test-slot-{number}")
    except OSError as error:
        held.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return held


def left_behind() -> list[Names]:
    """The slots that have a directory or a lock file, living ones included."""
    numbers = {path.name.removesuffix(".lock") for path in base().iterdir()}
    return [Names(number) for number in sorted(int(name) for name in numbers if name.isdigit())]


def sweep_after_death(number: int) -> None:
    """Wait until nobody holds the slot, then remove what is there. Does nothing after an orderly release."""
    names = Names(number)
    with contextlib.suppress(FileNotFoundError), names.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with base_lock():
            if _same_file(lock, names.lock):
                sweep(names)
                names.lock.unlink()
            _remove_base_when_empty()


@contextlib.contextmanager
def base_lock() -> Iterator[None]:
    """One process at a time claims, releases or sweeps. The file may vanish while we wait, hence the loop."""
    with contextlib.ExitStack() as stack:
        while True:
            _make_base()
            path = base() / "lock"
            with contextlib.suppress(FileNotFoundError):
                lock = stack.enter_context(path.open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _same_file(lock, path):
                    break
        yield


@contextlib.contextmanager
def _try_lock(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _same_file(opened: IO[str], path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(opened.fileno()), path.stat())
    return False


def _make_base() -> None:
    base().mkdir(mode=0o711, parents=True, exist_ok=True)
    found = base().lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise Unavailable(f"{base()} must be a directory that only you can write to: remove it, or set TEST_HOST_DIR")


def _remove_base_when_empty() -> None:
    """Called under the base lock, whose own file is the last to go."""
    if {path.name for path in base().iterdir()} <= {"lock"}:
        shutil.rmtree(base())


def _start_keeper(number: int, held: socket.socket) -> subprocess.Popen[bytes]:
    """Start the keeper, out of our terminal's reach. Its stdin ends when this process does, and it keeps the number."""
    return subprocess.Popen(
        [sys.executable, "-m", KEEPER, str(number)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[held.fileno()],
        start_new_session=True,
    )


def _in_use(network: ipaddress.IPv4Network) -> bool:
    """Whether the host routes any part of `network` already (the default route aside)."""
    with open("/proc/net/route") as table:
        next(table, None)
        for fields in map(str.split, table):
            address, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
            if mask and ipaddress.ip_network((address, mask.bit_count())).overlaps(network):
                return True
    return False
