"""The streams of a command in a container: pipes, or a terminal that the OCI runtime makes and hands over."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cri.errors import DeadlineExceeded
from cri.streaming.transport import cancel
from runtimes.native import programs
from runtimes.shared.commands import Write
from runtimes.shared.descriptors import readable

PATIENCE = 10.0
"""Seconds that the OCI runtime gets to hand over a terminal."""

_PIECE = 65536


@dataclass(slots=True)
class Pipes:
    """Our ends of a command's streams, -1 for what there is not. With a terminal ``stdin`` and ``stdout`` are it."""

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1
    terminal: int = -1

    def close(self) -> None:
        for file in {self.stdin, self.stdout, self.stderr, self.terminal} - {-1}:
            os.close(file)
        self.stdin = self.stdout = self.stderr = self.terminal = -1


def with_pipes(command: Sequence[str], pipes: Pipes, *, stdin: bool) -> subprocess.Popen[bytes]:
    theirs = []
    try:
        taken = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if stdin:
            os.close(taken)
            taken, pipes.stdin = os.pipe2(os.O_CLOEXEC)
        theirs.append(taken)
        for name in ("stdout", "stderr"):
            ours, given = os.pipe2(os.O_CLOEXEC)
            setattr(pipes, name, ours)
            theirs.append(given)
        for file in {pipes.stdin, pipes.stdout, pipes.stderr} - {-1}:
            os.set_blocking(file, False)
        return programs.start(command, *theirs)
    finally:
        for file in theirs:
            os.close(file)


async def with_terminal(
    arguments: Sequence[str], container_id: str, folder: Path, pipes: Pipes
) -> subprocess.Popen[bytes]:
    """The OCI runtime makes the terminal inside the container and hands us its master over a socket."""
    directory = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            # By the directory's descriptor: a socket's path must not be longer than 107 characters.
            listener.bind(f"/proc/self/fd/{directory}/console")
            listener.listen(1)
            listener.setblocking(False)
            command = [*arguments, "--console-socket", f"/proc/self/fd/{directory}/console", container_id]
            helper = programs.start(command, null, null, null, pass_fds=[directory])
            pipes.terminal = await _receive(listener, helper)
        finally:
            os.close(directory)
            os.close(null)
    if pipes.terminal >= 0:
        os.set_blocking(pipes.terminal, False)
        pipes.stdin = pipes.stdout = pipes.terminal
    return helper


async def _receive(listener: socket.socket, helper: subprocess.Popen[bytes]) -> int:
    """The descriptor that comes; -1 when the program ends without sending one."""
    loop = asyncio.get_running_loop()
    accepting = asyncio.ensure_future(loop.sock_accept(listener))
    ended = asyncio.ensure_future(programs.wait(helper))
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({accepting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not accepting.done():
                return -1
            connection, _ = accepting.result()
            with connection:
                connection.setblocking(False)
                await readable(connection.fileno())
                _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    except TimeoutError as error:
        helper.kill()
        raise DeadlineExceeded("the OCI runtime hands over no terminal") from error
    finally:
        await cancel(accepting, ended)
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            return int(array.array("i", data[:4])[0])
    return -1


async def copy(source: int, write: Write, ended: asyncio.Future[int]) -> None:
    """Until nobody has the other end any more, or the command has ended and all it wrote is copied: what it left in the
    background may hold the other end for as long as it likes."""
    while source >= 0:
        over = ended.done()
        try:
            piece = os.read(source, _PIECE)
        except BlockingIOError:
            if over:
                return
            await _readable_or(source, ended)
            continue
        except OSError:  # EIO: nobody has the terminal any more
            return
        if not piece:
            return
        await write(piece)


async def _readable_or(file: int, other: asyncio.Future[int]) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def resolve(*_: object) -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(file, resolve)
    other.add_done_callback(resolve)
    try:
        await ready
    finally:
        loop.remove_reader(file)
        other.remove_done_callback(resolve)
