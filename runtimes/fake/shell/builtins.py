"""The commands that change the shell itself and so cannot be processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from runtimes.fake.files import absolute
from runtimes.fake.process import Process
from runtimes.fake.program_table import ProgramNotFound
from runtimes.fake.shell.state import EXIT, Break, Continue, Exit, State, signal_number

Builtin = Callable[[State, list[str]], Awaitable[int]]


async def _fail(state: State, message: str, code: int = 2) -> int:
    await state.process.err(f"{state.name}: {message}\n")
    return code


async def _nothing(state: State, args: list[str]) -> int:
    return 0


async def _cd(state: State, args: list[str]) -> int:
    target = absolute(args[0] if args else state.variables.get("HOME", "/"), state.process.cwd)
    if not state.process.files.is_directory(target):
        return await _fail(state, f"cd: can't cd to {args[0] if args else target}: No such file or directory")
    state.process.cwd = target
    state.assign("PWD", target)
    return 0


async def _exit(state: State, args: list[str]) -> int:
    if args and not args[0].isdecimal():
        raise Exit(await _fail(state, f"exit: Illegal number: {args[0]}"))
    raise Exit(int(args[0]) & 0xFF if args else state.status)


async def _export(state: State, args: list[str]) -> int:
    for arg in args:
        name, equals, value = arg.partition("=")
        if not name.isidentifier():
            return await _fail(state, f"export: {arg}: bad variable name")
        if equals:
            state.assign(name, value)
        state.exported.add(name)
    return 0


async def _unset(state: State, args: list[str]) -> int:
    for name in args:
        state.variables.pop(name, None)
        state.exported.discard(name)
    return 0


async def _read(state: State, args: list[str]) -> int:
    names = [arg for arg in args if not arg.startswith("-")] or ["REPLY"]
    line = (await state.process.streams.stdin.read_line()).decode(errors="surrogateescape")
    values = line.rstrip("\n").split(None, len(names) - 1)
    for index, name in enumerate(names):
        state.assign(name, values[index].strip() if index < len(values) else "")
    return 0 if line.endswith("\n") else 1


async def _set(state: State, args: list[str]) -> int:
    for index, arg in enumerate(args):
        if arg == "--":
            state.positional = args[index + 1 :]
            return 0
        if arg not in ("-e", "+e"):
            return await _fail(state, f"set: {arg} is not supported by the fake's shell")
        state.errexit = arg == "-e"
    return 0


async def _shift(state: State, args: list[str]) -> int:
    if not state.positional:
        return await _fail(state, "shift: can't shift that many", 1)
    del state.positional[0]
    return 0


async def _trap(state: State, args: list[str]) -> int:
    if not args:
        return 0
    action: str | None = args[0]
    if len(args) == 1 or args[0] == "-":
        action, args = None, args if len(args) == 1 and args[0] != "-" else args[1:]
    else:
        args = args[1:]
    for arg in args:
        number = signal_number(arg)
        if number is None:
            return await _fail(state, f"trap: {arg}: invalid signal specification", 1)
        state.trap(EXIT if number == EXIT else number, action)
    return 0


async def _wait(state: State, args: list[str]) -> int:
    """Wait for the given jobs, or for all; a trapped signal ends the wait at once with a status over 128."""
    waited = state.jobs
    if args:
        wanted = set(args)
        waited = [job for job in state.jobs if str(job.pid) in wanted]
        if not waited:
            return 127
    status = 0
    for job in list(waited):
        if await _interrupted(state, job):
            return 128 + state.pending[0]
        state.jobs.remove(job)
        status = job.exited.result()
    return status if args else 0


async def _interrupted(state: State, job: Process) -> bool:
    state.trapped.clear()
    if state.pending:
        return True
    trapped = asyncio.ensure_future(state.trapped.wait())
    either: set[asyncio.Future[Any]] = {job.exited, trapped}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        trapped.cancel()
    return bool(state.pending)


async def _exec(state: State, args: list[str]) -> int:
    if not args:
        return 0  # redirections of a bare exec end with the command; that they last is not supported
    try:
        program = state.process.replace(args)
    except ProgramNotFound:
        raise Exit(await _fail(state, f"exec: {args[0]}: not found", 127)) from None
    state.process.env = state.environment()
    state.traps.clear()
    raise Exit(await program(state.process))


async def _break(state: State, args: list[str]) -> int:
    raise Break


async def _continue(state: State, args: list[str]) -> int:
    raise Continue


TABLE: dict[str, Builtin] = {
    ":": _nothing,
    "break": _break,
    "cd": _cd,
    "continue": _continue,
    "exec": _exec,
    "exit": _exit,
    "export": _export,
    "read": _read,
    "set": _set,
    "shift": _shift,
    "trap": _trap,
    "unset": _unset,
    "wait": _wait,
}
