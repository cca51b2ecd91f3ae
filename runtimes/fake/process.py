"""Simulated processes: arguments, streams, signals and an exit code, as coroutines of this process.

No operating-system process is ever started. A program is a coroutine function ``async def main(process) -> int``;
a ``Guest`` is what the processes of one container share.
"""

from __future__ import annotations

import asyncio
import itertools
import posixpath
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from runtimes.fake.clock import Clock
from runtimes.fake.files import FileSystem
from runtimes.fake.pipes import Connection, Pipe, Sink, closed_pipe
from runtimes.fake.program_table import ProgramNotFound, Programs
from runtimes.fake.users import User

_HARMLESS = {signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP}
"""Signals whose default action ends nothing. Stopping is not simulated."""


class Program(Protocol):
    """What runs in a fake container; the answer is the exit code. Cancelling it is SIGKILL: it must not resist."""

    async def __call__(self, process: Process, /) -> int: ...


Handler = Callable[[int], None]
"""Called with the signal's number, on the event loop; must not wait."""


class _Ignored:
    def __call__(self, number: int) -> None:
        """Nothing happens."""


IGNORE: Final[Handler] = _Ignored()
"""Handler of a signal that does nothing; children inherit it, as they do in Unix."""

Accept = Callable[[Connection], None]
"""What listens on a port: takes one connection, to be served by the program's own tasks; must not wait."""


class Network(Protocol):
    """The network as the processes of a sandbox see it."""

    @property
    def address(self) -> str:
        """The sandbox's first IP address; empty without a network."""

    def listen(self, port: int, accept: Accept) -> Callable[[], None]:
        """Serve ``port`` until the returned function is called. Raises OSError (EADDRINUSE)."""

    def dial(self, host: str, port: int) -> Connection:
        """Connect by name or address. Raises OSError (unknown host, connection refused)."""


@dataclass(slots=True)
class Streams:
    """Where a process reads and writes."""

    stdin: Pipe
    stdout: Sink
    stderr: Sink


class Guest:
    """One container from the inside. ``architecture`` in OCI's word; ``memory_limit`` in bytes, 0 for none."""

    def __init__(
        self, *, clock: Clock, files: FileSystem, programs: Programs, network: Network, hostname: str,
        architecture: str = "amd64", memory_limit: int = 0, init_rules: bool = False,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.files = files
        self.programs = programs
        self.network = network
        self.hostname = hostname
        self.architecture = architecture
        self.memory_limit = memory_limit
        self.init_rules = init_rules
        self.processes: dict[int, Process] = {}
        self.memory = 0
        self.oom_events = 0
        self._pids = itertools.count(1)

    def start(
        self, args: Sequence[str], streams: Streams, *, env: Mapping[str, str], cwd: str, user: User,
        tty: bool = False, program: Program | None = None, parent: Process | None = None,
    ) -> Process:  # fmt: skip
        """Start a process; the first one is the container's. Raises ProgramNotFound."""
        if not args:
            raise ProgramNotFound("")
        main = program or self.programs.find(args[0])
        if main is None:
            raise ProgramNotFound(args[0])
        process = Process(self, next(self._pids), main, tuple(args), streams, dict(env), cwd, user, tty, parent)
        self.processes[process.pid] = process
        process._begin()
        return process

    def running(self) -> list[Process]:
        return list(self.processes.values())

    def kill_all(self) -> None:
        for process in self.running():
            process.kill()

    def _ended(self, process: Process) -> None:
        self.processes.pop(process.pid, None)
        self.memory -= process.memory
        if process.pid == 1:
            self.kill_all()  # the kernel ends a pid namespace with its first process


class Process:
    """One process, as its program sees it. ``streams``, ``env`` and ``cwd`` are the program's to change."""

    def __init__(
        self, guest: Guest, pid: int, main: Program, args: tuple[str, ...], streams: Streams, env: dict[str, str],
        cwd: str, user: User, tty: bool, parent: Process | None,
    ) -> None:  # fmt: skip
        self.guest = guest
        self.pid = pid
        self.args = args
        self.streams = streams
        self.env = env
        self.cwd = cwd
        self.user = user
        self.tty = tty
        self.parent = parent
        self.size: tuple[int, int] = parent.size if parent else (24, 80)
        """Rows and columns of the terminal."""
        self.memory = 0
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit code; 128 and the signal's number for a process that a signal ended."""
        self._handlers: dict[int, Handler] = (
            {n: h for n, h in parent._handlers.items() if h is IGNORE} if parent else {}
        )
        self._main = main
        self._fate: int | None = None
        self._task: asyncio.Task[int]

    @property
    def clock(self) -> Clock:
        return self.guest.clock

    @property
    def files(self) -> FileSystem:
        return self.guest.files

    async def out(self, text: str | bytes) -> None:
        """Write to standard output."""
        await self.streams.stdout.write(text.encode(errors="surrogateescape") if isinstance(text, str) else text)

    async def err(self, text: str | bytes) -> None:
        """Write to standard error."""
        await self.streams.stderr.write(text.encode(errors="surrogateescape") if isinstance(text, str) else text)

    async def fail(self, message: object, code: int = 1) -> int:
        """Say ``program: message`` on standard error; the answer is ``code``."""
        await self.err(f"{posixpath.basename(self.args[0])}: {message}\n")
        return code

    def on_signal(self, number: int, handler: Handler | None) -> None:
        """Call ``handler`` on the signal, ``IGNORE`` it, or (None) let it do what it does by default."""
        if handler is None:
            self._handlers.pop(number, None)
        else:
            self._handlers[number] = handler

    def signal(self, number: int) -> None:
        """Deliver a signal. One that ended the process already changes nothing."""
        if number == 0 or self.exited.done():
            return
        handler = self._handlers.get(number)
        if number == signal.SIGKILL:
            self._end(128 + number)
        elif handler is not None:
            handler(number)
        elif number not in _HARMLESS and not (self.pid == 1 and self.guest.init_rules):
            self._end(128 + number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def kill_tree(self) -> None:
        """Kill the process and all that it started."""
        for process in self.guest.running():
            if process.descends_from(self):
                process.kill()
        self.kill()

    def descends_from(self, other: Process) -> bool:
        ancestor = self.parent
        while ancestor is not None and ancestor is not other:
            ancestor = ancestor.parent
        return ancestor is other

    def resize(self, rows: int, columns: int) -> None:
        self.size = (rows, columns)
        self.signal(signal.SIGWINCH)

    def allocate(self, size: int) -> None:
        """Use ``size`` more bytes of memory (fewer, when negative); past the container's limit it is killed."""
        self.memory += size
        self.guest.memory += size
        if 0 < self.guest.memory_limit < self.guest.memory:
            self.guest.oom_events += 1
            self.kill()

    def spawn(
        self, args: Sequence[str], *, stdin: Pipe | None = None, stdout: Sink | None = None,
        stderr: Sink | None = None, env: Mapping[str, str] | None = None, program: Program | None = None,
    ) -> Process:  # fmt: skip
        """Start a child; what is not given is inherited, but for stdin, which is empty. Raises ProgramNotFound."""
        streams = Streams(stdin or closed_pipe(), stdout or self.streams.stdout, stderr or self.streams.stderr)
        return self.guest.start(
            args, streams, env=self.env if env is None else env, cwd=self.cwd, user=self.user, tty=self.tty,
            program=program, parent=self,
        )  # fmt: skip

    async def wait(self) -> int:
        """The exit code, once it is there."""
        return await asyncio.shield(self.exited)

    def replace(self, args: Sequence[str]) -> Program:
        """Become another program, as ``exec`` does: the caller awaits the answer. Raises ProgramNotFound."""
        main = self.guest.programs.find(args[0])
        if main is None:
            raise ProgramNotFound(args[0])
        self.args = tuple(args)
        self._handlers = {number: handler for number, handler in self._handlers.items() if handler is IGNORE}
        return main

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._finish)

    async def _run(self) -> int:
        try:
            return await self._main(self)
        except BrokenPipeError:
            return 128 + signal.SIGPIPE
        except Exception:  # noqa: BLE001 - a program of a user's may fail in any way; a process then ends with 1
            await self.err(traceback.format_exc())
            return 1

    def _end(self, code: int) -> None:
        if self._fate is None:
            self._fate = code
        self._task.cancel()

    def _finish(self, task: asyncio.Task[int]) -> None:
        code = 128 + signal.SIGKILL if task.cancelled() or task.exception() else task.result()
        self.guest._ended(self)
        self.exited.set_result((code if self._fate is None else self._fate) & 0xFF)
