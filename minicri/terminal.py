"""``exec``: a command in a running task, with its streams, a raw terminal where asked for, and its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
import tty as terminal_modes
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from minicri.options import AddressOption, ConfigOption, ContainerOption, Name
from minicri.running import connected, execute, settings

if TYPE_CHECKING:
    from pathlib import Path

    from cri.streaming.pipes import TerminalSize

_CHUNK = 32 * 1024


def exec_(
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")],
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Pass standard input on.")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give the command a terminal.")] = False,
    container: ContainerOption = "",
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Run a command in a running task and exit with its code. For a shell: exec -it NAME -- sh."""
    execute(_exec(name, command, stdin, tty, container, address, config))


async def _exec(
    name: str,
    command: list[str],
    stdin: bool,
    tty: bool,
    container: str,
    address: str | None,
    config: Path | None,
) -> int:
    from cri.errors import InvalidArgument
    from cri.streaming.client import run_command
    from cri.tls import client_context
    from orchestrator.v1 import orchestrator_pb2 as pb

    if tty and not (stdin and sys.stdin.isatty()):
        raise InvalidArgument("--tty needs --stdin and a terminal as standard input; leave -t out in a script")
    request = pb.ExecRequest(
        name=name, command=command, tty=tty, stdin=stdin, stdout=True, stderr=not tty, container=container
    )
    told = settings(config, {"orchestrator.listen": address}).value.orchestrator
    async with connected(address, config) as client:
        url = (await client.exec(request)).url
    refuse_strange_loopback(url, told.listen)
    with raw_terminal(sys.stdin.fileno()) if tty else _as_it_is():
        return await run_command(
            url,
            stdin=_input(sys.stdin.fileno()) if stdin else None,
            stdout=_writer(sys.stdout.fileno()),
            stderr=None if tty else _writer(sys.stderr.fileno()),
            sizes=_sizes(sys.stdout.fileno()) if tty else None,
            tty=tty,
            tls=client_context(told.tls) if told.tls else None,
        )


def refuse_strange_loopback(url: str, listen: str) -> None:
    """A URL that leads to this host is of no use where the orchestrator is on another."""
    from cri.addresses import TcpAddress, parse
    from cri.errors import FailedPrecondition

    at, host = parse(listen), urlsplit(url).hostname or ""
    if isinstance(at, TcpAddress) and not at.is_loopback and TcpAddress(host, 0).is_loopback:
        raise FailedPrecondition(
            f"the orchestrator at {listen} streams on its own loopback only ({host}); there, give the runtime "
            "streaming_host and streaming_tls"
        )


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Every key goes to the command, Ctrl-C too; afterwards the terminal is as it was found."""
    found = termios.tcgetattr(fd)
    terminal_modes.setraw(fd, termios.TCSADRAIN)  # what was typed ahead is for the command, not to be lost
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, found)


async def _input(fd: int) -> AsyncIterator[bytes]:
    """What is typed or piped, until its end. Read in a thread of its own: a file cannot be waited for otherwise."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=4)

    def read() -> None:
        while True:
            chunk = os.read(fd, _CHUNK)
            try:
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            except RuntimeError:
                return  # the loop has gone, and the command with it
            if not chunk:
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while chunk := await chunks.get():
        yield chunk


def _writer(fd: int) -> Callable[[bytes], Awaitable[None]]:
    async def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[await asyncio.to_thread(os.write, fd, view) :]

    return write


async def _sizes(fd: int) -> AsyncIterator[TerminalSize]:
    """The terminal's size, now and whenever it changes."""
    from cri.streaming.pipes import TerminalSize

    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            changed.clear()
            size = os.get_terminal_size(fd)
            yield TerminalSize(size.columns, size.lines)
            await changed.wait()
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
