"""Short-lived programs of others: started without a shell or a thread, heard to their end, killed with their caller."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cri.errors import DeadlineExceeded, FailedPrecondition
from runtimes.shared.descriptors import readable

_OF_A_SESSION = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")

SAID_LIMIT = 1 << 20
"""Bytes that are kept of what a program writes."""


def of_the_host(environment: Mapping[str, str], *, rootless: bool) -> dict[str, str]:
    """Less what tells root of its login session: crun would have its cgroups made by the session's systemd, below
    limits and at a place of its own. Pure."""
    return {name: value for name, value in environment.items() if rootless or name not in _OF_A_SESSION}


@dataclass(frozen=True, slots=True)
class Ended:
    """``code`` is negative for the number of the signal that ended it."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def words(self) -> str:
        """What it had to say about a failure."""
        return self.stderr.decode("utf-8", "replace").strip() or f"it ended with code {self.code}"


async def run(
    command: Sequence[str],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
    directory: Path | None = None,
) -> Ended:
    """Run ``command`` to its end, whatever its code. When the caller is cancelled, or after ``timeout`` seconds
    (DeadlineExceeded), it is killed first. Raises FailedPrecondition for a program that is not there.

    Output goes to memory files, not pipes: what the program leaves running may keep them open without keeping us.
    """
    files = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr")]
    try:
        if stdin:
            os.write(files[0], stdin)
            os.lseek(files[0], 0, os.SEEK_SET)
        process = start(command, *files, environment=environment, pass_fds=pass_fds, directory=directory)
        try:
            async with asyncio.timeout(timeout):
                await wait(process)
        except TimeoutError as error:
            raise DeadlineExceeded(f"{command[0]} did not end within {timeout:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        return Ended(process.returncode, _read(files[1]), _read(files[2]))
    finally:
        for file in files:
            os.close(file)


def start(
    command: Sequence[str],
    stdin: int,
    stdout: int,
    stderr: int,
    *,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own: a terminal's signals are not for it. Raises FailedPrecondition for a
    program that cannot be run."""
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            pass_fds=pass_fds,
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        raise FailedPrecondition(f"{command[0]} cannot be run: {error.strerror}; is its package installed?") from error


def told_of_our_death(number: signal.Signals) -> list[str]:
    """What to put before a command for it to get this signal when the thread that starts it is gone, however it went;
    nothing on a host without util-linux."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--"] if setpriv else []


async def wait(process: subprocess.Popen[bytes]) -> int:
    """Until it has ended; its code. Cancelling leaves it running."""
    if process.poll() is None:
        handle = os.pidfd_open(process.pid)
        try:
            await readable(handle)
        finally:
            os.close(handle)
    return process.wait()


def _read(file: int) -> bytes:
    return os.pread(file, SAID_LIMIT, 0)
