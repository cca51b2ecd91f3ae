"""One command in a container, besides the container's own: from its start to its exit, or to its death by our hand."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import struct
import subprocess
import termios
from pathlib import Path

from cri.errors import InvalidArgument, Unavailable
from cri.logs.inotify import Watch
from cri.streaming.transport import cancel
from runtimes.native import programs
from runtimes.native.ends import Ends
from runtimes.native.exec_streams import Pipes, copy
from runtimes.shared import processes
from runtimes.shared.commands import KILLED, Write
from runtimes.shared.descriptors import writable

ENDING = 2.0
"""Seconds after its container's end that a command gets to end as well, before it is killed."""

_SIZE = struct.Struct("HHHH")

_log = logging.getLogger(__name__)


class ExecProcess:
    """Made by ``ExecProcesses.running``. ``helper`` is the OCI runtime, which ends with the command and its code."""

    def __init__(
        self,
        container_id: str,
        program: str,
        helper: subprocess.Popen[bytes],
        pipes: Pipes,
        folder: Path,
        ends: Ends,
    ) -> None:
        self._container_id = container_id
        self._program = program
        self._helper = helper
        self._pipes = pipes
        self._folder = folder
        self._ends = ends
        self._waiting: asyncio.Task[int] | None = None
        self.exit_code: int | None = None
        """Known once the process has ended and somebody asked."""

    async def copy_output(self, stdout: Write, stderr: Write, *, tty: bool) -> None:
        """Until the command has ended, or has for ``ENDING`` outlived its container.

        Raises InvalidArgument, in the OCI runtime's words, when the command could not be started at all.
        """
        ended = asyncio.ensure_future(programs.wait(self._helper))
        over = asyncio.ensure_future(self._outlive_container())
        copying = asyncio.ensure_future(self._copy_both(stdout, None if tty else stderr, ended))
        try:
            await asyncio.wait({copying, over}, return_when=asyncio.FIRST_COMPLETED)
            if copying.done():
                copying.result()
        finally:
            await cancel(over, ended, copying)
        await self._refuse()

    async def _copy_both(self, stdout: Write, stderr: Write | None, ended: asyncio.Future[int]) -> None:
        if stderr is None:
            # What the OCI runtime says of a failed start comes where the command's output would.
            if self._pipes.stdout >= 0 and await self._did_start(ended):
                await copy(self._pipes.stdout, stdout, ended)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(copy(self._pipes.stdout, stdout, ended))
            group.create_task(copy(self._pipes.stderr, stderr, ended))

    async def _did_start(self, ended: asyncio.Future[int]) -> bool:
        """Wait until the command is in the container, or will never be."""
        over = asyncio.Event()
        ended.add_done_callback(lambda _: over.set())
        with Watch(self._folder) as watch:
            while not self._pid() and not over.is_set():
                await watch.changed_or(over)
        return bool(self._pid())

    async def wait(self) -> int:
        """The exit code, once ``copy_output`` has returned: 128 + n when signal n ended the process."""
        if self.exit_code is None:
            self.exit_code = _code(await programs.wait(self._helper))
        return self.exit_code

    async def write(self, data: bytes) -> None:
        """To its stdin, waiting while it is slow to read. Raises Unavailable once nobody reads any more."""
        if self._pipes.stdin < 0:
            raise Unavailable("the command takes no input any more")
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._pipes.stdin, rest) :]
            except BlockingIOError:
                await writable(self._pipes.stdin)
            except OSError as error:
                raise Unavailable(f"the command takes no input any more: {error.strerror}") from error

    def write_eof(self) -> None:
        """Its input has ended."""
        if self._pipes.stdin >= 0 and self._pipes.terminal < 0:
            os.close(self._pipes.stdin)
            self._pipes.stdin = -1

    async def resize(self, width: int, height: int) -> None:
        """Change its terminal."""
        if self._pipes.terminal >= 0:
            fcntl.ioctl(self._pipes.terminal, termios.TIOCSWINSZ, _SIZE.pack(height, width, 0, 0))

    async def end(self) -> None:
        """SIGKILL the process and all that it started, unless it has ended: then ``exit_code`` is known."""
        try:
            if self._helper.poll() is None:
                await self._kill()
            elif self.exit_code is None:
                self.exit_code = _code(self._helper.returncode)
        except OSError as error:
            # Something else went wrong already, which is what the caller hears of.
            _log.warning("a command in container %s may still run: %s", self._container_id, error)
        finally:
            self._pipes.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _kill(self) -> None:
        """Kill the command, and see its helper out, which ends by itself and takes the dead with it."""
        pid = self._pid()
        if pid and await asyncio.to_thread(processes.kill_tree, pid, self._container_id):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDING):
                    await programs.wait(self._helper)
        # The command may not have come so far as to be in the container, or to be noted.
        if self._helper.poll() is None:
            await asyncio.to_thread(processes.kill_family, self._helper.pid)
            await programs.wait(self._helper)

    def _pid(self) -> int:
        return noted_pid(self._folder)

    async def _outlive_container(self) -> None:
        """Where the container shares the sandbox's processes, nobody else ends the command."""
        await self._ends.wait(self._container_id)
        await asyncio.sleep(ENDING)
        await self._kill()
        self.exit_code = KILLED

    async def _refuse(self) -> None:
        """Raise the OCI runtime's words about a command that it could not start."""
        said = _read(self._folder / "log")
        if not said:
            return
        code = _code(await programs.wait(self._helper))
        if code and not self._pid_was_noted():
            self.exit_code = code
            raise InvalidArgument(f"the command cannot be started: {self._program}: {said}")

    def _pid_was_noted(self) -> bool:
        return self._pid() > 0


def noted_pid(folder: Path) -> int:
    """The command's number on the host; 0 as long as the OCI runtime has not noted it."""
    text = _read(folder / "pid")
    return int(text) if text.isdecimal() else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _code(returned: int) -> int:
    return returned if returned >= 0 else 128 - returned
