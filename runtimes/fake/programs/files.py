"""Programs over files and streams: cat, ls, mkdir, rm, touch, head, tail, wc, grep, tee."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from runtimes.fake.files import absolute
from runtimes.fake.pipes import Pipe
from runtimes.fake.process import Process, Program

_GROWTH = 1024 * 1024


def _operands(process: Process) -> list[str]:
    return [arg for arg in process.args[1:] if not arg.startswith("-") or arg == "-"]


def _flags(process: Process) -> str:
    return "".join(arg[1:] for arg in process.args[1:] if arg.startswith("-"))


def _path(process: Process, name: str) -> str:
    return absolute(name, process.cwd)


async def _contents(process: Process, name: str) -> bytes:
    """A file, or standard input for ``-``. Raises OSError."""
    if name == "-":
        return await process.streams.stdin.read_all()
    if name == "/dev/null":
        return b""
    return process.files.read(_path(process, name))


async def _copy(process: Process, source: Pipe) -> None:
    while chunk := await source.read():
        await process.out(chunk)


async def _cat(process: Process) -> int:
    status = 0
    for name in _operands(process) or ["-"]:
        if name == "-":
            await _copy(process, process.streams.stdin)
            continue
        try:
            await process.out(await _contents(process, name))
        except OSError as error:
            status = await process.fail(f"can't open '{name}': {error.strerror}")
    return status


async def _ls(process: Process) -> int:
    status = 0
    for name in _operands(process) or ["."]:
        path = _path(process, name)
        try:
            names = [name] if process.files.is_file(path) else process.files.children(path)
            await process.out("".join(f"{each}\n" for each in names))
        except OSError as error:
            status = await process.fail(f"{name}: {error.strerror}")
    return status


async def _make_each(process: Process, make: Callable[[str], None], complaint: str) -> int:
    """``make`` each path that is named; what cannot be made is complained of, and the others are made all the same."""
    status = 0
    for name in _operands(process):
        try:
            make(_path(process, name))
        except OSError as error:
            status = await process.fail(f"{complaint.format(name)}: {error.strerror}")
    return status


async def _mkdir(process: Process) -> int:
    parents = "p" in _flags(process)
    return await _make_each(
        process, lambda path: process.files.make_directory(path, parents=parents), "can't create directory '{}'"
    )


async def _touch(process: Process) -> int:
    return await _make_each(process, lambda path: process.files.write(path, b"", append=True), "{}")


async def _rm(process: Process) -> int:
    status, flags = 0, _flags(process)
    for name in _operands(process):
        try:
            process.files.remove(_path(process, name), recursive="r" in flags or "R" in flags)
        except FileNotFoundError as error:
            if "f" not in flags:
                status = await process.fail(f"can't remove '{name}': {error.strerror}")
        except OSError as error:
            status = await process.fail(f"can't remove '{name}': {error.strerror}")
    return status


def _count(process: Process, default: int) -> tuple[str, int, list[str]]:
    """``-n 3``, ``-n3``, ``-3`` or ``-c 3``: the unit, the number and the operands."""
    unit, number, operands = "n", default, []
    args = list(process.args[1:])
    while args:
        arg = args.pop(0)
        match = re.fullmatch(r"-([nc]?)(\d*)", arg)
        if not match or arg == "-":
            operands += [] if arg.startswith("-") and arg != "-" else [arg]
            continue
        unit = match.group(1) or "n"
        number = int(match.group(2) or (args.pop(0) if args else default))
    return unit, number, operands


async def _head(process: Process) -> int:
    unit, number, operands = _count(process, 10)
    try:
        if operands in (["/dev/zero"], ["/dev/urandom"]):
            await process.out(bytes(number) if unit == "c" else b"")
            return 0
        if operands in ([], ["-"]):  # as it comes: what is read from may never end
            await _head_of(process, unit, number)
            return 0
        data = b"".join([await _contents(process, name) for name in operands])
    except OSError as error:
        return await process.fail(f"{error.filename}: {error.strerror}")
    await process.out(data[:number] if unit == "c" else b"".join(data.splitlines(keepends=True)[:number]))
    return 0


async def _head_of(process: Process, unit: str, number: int) -> None:
    stdin = process.streams.stdin
    while number > 0:
        piece = await (stdin.read(min(number, _GROWTH)) if unit == "c" else stdin.read_line())
        if not piece:
            return
        number -= len(piece) if unit == "c" else 1
        await process.out(piece)


async def _tail(process: Process) -> int:
    unit, number, operands = _count(process, 10)
    if operands == ["/dev/zero"]:  # the usual way to run out of memory: an endless line
        while process.guest.memory_limit:
            process.allocate(_GROWTH)
            await asyncio.sleep(0)
        return await process.fail("out of memory")
    follows = any(arg.startswith("-") and "f" in arg.lower() for arg in process.args[1:])
    try:
        data = b"".join([await _contents(process, name) for name in operands or ["-"]])
    except OSError as error:
        return await process.fail(f"can't open '{error.filename}': {error.strerror}")
    await process.out(data[-number:] if unit == "c" else b"".join(data.splitlines(keepends=True)[-number:]))
    seen = len(data)
    while follows:
        await process.clock.sleep(1.0)
        data = b"".join([await _contents(process, name) for name in operands])
        await process.out(data[min(seen, len(data)) :])
        seen = len(data)
    return 0


async def _wc(process: Process) -> int:
    flags = _flags(process) or "lwc"
    data = b"".join([await _contents(process, name) for name in _operands(process) or ["-"]])
    counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    await process.out(" ".join(str(counts[flag]) for flag in "lwc" if flag in flags) + "\n")
    return 0


async def _grep(process: Process) -> int:
    operands, flags = _operands(process), _flags(process)
    if not operands:
        return await process.fail("usage: grep [-qvic] PATTERN [FILE]...", 2)
    try:
        wanted = re.compile(operands[0].encode(), re.IGNORECASE if "i" in flags else 0)
        data = b"".join([await _contents(process, name) for name in operands[1:] or ["-"]])
    except re.error as error:
        return await process.fail(f"bad regex '{operands[0]}': {error}", 2)
    except OSError as error:
        return await process.fail(f"{error.filename}: {error.strerror}", 2)
    found = [line for line in data.splitlines() if bool(wanted.search(line)) != ("v" in flags)]
    if "c" in flags:
        await process.out(f"{len(found)}\n")
    elif "q" not in flags:
        await process.out(b"".join(line + b"\n" for line in found))
    return int(not found)


async def _tee(process: Process) -> int:
    append = "a" in _flags(process)
    paths = [_path(process, name) for name in _operands(process)]
    try:
        for path in paths:
            process.files.write(path, b"", append=append)
        while chunk := await process.streams.stdin.read():
            for path in paths:
                process.files.write(path, chunk, append=True)
            await process.out(chunk)
    except OSError as error:
        return await process.fail(f"{error.filename}: {error.strerror}")
    return 0


TABLE: dict[str, Program] = {
    "cat": _cat,
    "grep": _grep,
    "head": _head,
    "ls": _ls,
    "mkdir": _mkdir,
    "rm": _rm,
    "tail": _tail,
    "tee": _tee,
    "touch": _touch,
    "wc": _wc,
}
