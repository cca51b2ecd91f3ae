"""``>``, ``<`` and their kin, into the files of the guest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from runtimes.fake.files import FileSystem, absolute
from runtimes.fake.pipes import Discard, Pipe, Sink, closed_pipe
from runtimes.fake.process import Process
from runtimes.fake.shell.expansion import Expander
from runtimes.fake.shell.syntax import Redirection, ShellSyntaxError

_OWN_STREAMS = {
    "/dev/stdout": 1,
    "/dev/stderr": 2,
    "/dev/fd/1": 1,
    "/dev/fd/2": 2,
    "/proc/self/fd/1": 1,
    "/proc/self/fd/2": 2,
}


class FileSink:
    """Appends to a file of the guest."""

    def __init__(self, files: FileSystem, path: str) -> None:
        self._files = files
        self._path = path

    async def write(self, data: bytes) -> None:
        self._files.write(self._path, data, append=True)


@asynccontextmanager
async def redirected(process: Process, redirections: Sequence[Redirection], expander: Expander) -> AsyncIterator[bool]:
    """The process's streams, redirected inside the block; False (and a message) when a file cannot be opened."""
    if not redirections:
        yield True
        return
    before = process.streams
    process.streams = replace(before)
    try:
        try:
            for redirection in redirections:
                await _apply(process, redirection, await expander.text(redirection.target))
        except OSError as error:
            reason = f"sh: can't open {error.filename}: {error.strerror}\n"
            process.streams = before
            await process.err(reason)
            yield False
        else:
            yield True
    finally:
        process.streams = before


async def _apply(process: Process, redirection: Redirection, target: str) -> None:
    if redirection.mode == "read":
        process.streams.stdin = await _opened(process, absolute(target, process.cwd))
        return
    sink = _duplicate(process, target) if redirection.mode == "duplicate" else _sink(process, redirection, target)
    if redirection.descriptor == 1:
        process.streams.stdout = sink
    elif redirection.descriptor == 2:
        process.streams.stderr = sink
    else:
        raise ShellSyntaxError("syntax error: only descriptors 1 and 2 can be redirected")


def _duplicate(process: Process, target: str) -> Sink:
    match target:
        case "1":
            return process.streams.stdout
        case "2":
            return process.streams.stderr
    raise ShellSyntaxError(f"syntax error: bad file descriptor {target!r}")


def _sink(process: Process, redirection: Redirection, target: str) -> Sink:
    path = absolute(target, process.cwd)
    if path == "/dev/null":
        return Discard()
    if path in _OWN_STREAMS:
        return process.streams.stdout if _OWN_STREAMS[path] == 1 else process.streams.stderr
    first = process.guest.processes.get(1)
    if path in ("/proc/1/fd/1", "/proc/1/fd/2") and first is not None:
        return first.streams.stdout if path.endswith("1") else first.streams.stderr
    process.files.write(path, b"", append=redirection.mode == "append")
    return FileSink(process.files, path)


async def _opened(process: Process, path: str) -> Pipe:
    if path == "/dev/null":
        return closed_pipe()
    data = process.files.read(path)
    pipe = Pipe(capacity=len(data) + 1)
    await pipe.write(data)
    pipe.close()
    return pipe
