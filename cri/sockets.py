"""A Unix socket's place in the file system: private from birth, never stolen from a live server, cleared at the end.

gRPC binds sockets itself, with the process's umask and without asking whether another server listens. So it binds
inside a directory that only we can enter; the finished socket, mode 0660, is then renamed to its place in one step.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cri.addresses import UNIX_PATH_LIMIT, UnixAddress
from cri.errors import AlreadyExists, FailedPrecondition, InvalidArgument, PermissionDenied

SOCKET_MODE = 0o660
DIRECTORY_MODE = 0o750

_CONNECT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A socket of ours in its place."""

    path: str
    device: int
    inode: int

    def remove(self) -> None:
        """Take the socket away, unless somebody else's stands there by now."""
        try:
            with _locked(os.path.dirname(self.path)):
                found = os.lstat(self.path)
                if (found.st_dev, found.st_ino) == (self.device, self.inode):
                    os.unlink(self.path)
        except FileNotFoundError:
            return


def place(address: UnixAddress, bind: Callable[[UnixAddress], object]) -> Placed:
    """Have ``bind`` make the socket somewhere private, then move it to ``address``.

    Raises AlreadyExists when a live server listens there, FailedPrecondition when the path is no socket.
    """
    parent = os.path.dirname(address.path)
    try:
        if not os.path.isdir(parent):
            Path(parent).parent.mkdir(parents=True, exist_ok=True)
            Path(parent).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        # The lock makes "nobody listens" and "now we do" one step for servers that start at the same time.
        with _locked(parent):
            _refuse_unless_free(address)
            with TemporaryDirectory(prefix=".", dir=parent) as private:
                birthplace = os.path.join(private, "s")
                if len(os.fsencode(birthplace)) > UNIX_PATH_LIMIT:
                    raise InvalidArgument(f"address {address}: choose a shorter directory; the kernel's limit is near")
                bind(UnixAddress(birthplace))
                os.chmod(birthplace, SOCKET_MODE)
                born = os.lstat(birthplace)
                os.rename(birthplace, address.path)
    except PermissionError as error:
        raise PermissionDenied(f"address {address}: {error.strerror}: {error.filename or parent}") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise FailedPrecondition(f"address {address}: {parent!r} is not a directory") from error
    return Placed(address.path, born.st_dev, born.st_ino)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_unless_free(address: UnixAddress) -> None:
    try:
        found = os.lstat(address.path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FailedPrecondition(f"address {address}: the path exists and is not a socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(address.path)
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                return  # stale: its server died without clearing up
            if error.errno in (errno.EACCES, errno.EPERM):
                raise
            # A full backlog, a timeout or another socket type: somebody owns it.
    raise AlreadyExists(f"address {address}: another server listens there; stop it or choose another address")
