"""Programs that read arguments and print: true, echo, sleep, printf, seq, test and their like."""

from __future__ import annotations

import asyncio
import re

from runtimes.fake.process import Process, Program
from runtimes.fake.program_table import ProgramNotFound, Programs

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", "e": "\x1b"}
_CONVERSION = re.compile(r"%(%|-?0?\d*[sdc])")
_YES_BLOCK = 4096


def busybox(programs: Programs) -> Program:
    """``busybox APPLET ARGS…``."""

    async def run(process: Process) -> int:
        if len(process.args) < 2:
            await process.out("the fake's busybox: " + " ".join(programs.names()) + "\n")
            return 0
        try:
            program = process.replace(process.args[1:])
        except ProgramNotFound:
            return await process.fail(f"{process.args[1]}: applet not found", 127)
        return await program(process)

    return run


async def _true(process: Process) -> int:
    return 0


async def _false(process: Process) -> int:
    return 1


async def _sleep(process: Process) -> int:
    total = 0.0
    for arg in process.args[1:]:
        match = _DURATION.fullmatch(arg)
        if arg in ("inf", "infinity"):
            await asyncio.get_running_loop().create_future()
        elif not match:
            return await process.fail(f"invalid number '{arg}'")
        else:
            total += float(match.group(1)) * _UNITS[match.group(2)]
    if len(process.args) < 2:
        return await process.fail("missing operand")
    await process.clock.sleep(total)
    return 0


def unescape(text: str) -> str:
    """Backslash sequences as ``echo -e`` and ``printf`` know them."""

    def replace(match: re.Match[str]) -> str:
        octal, hexadecimal, letter = match.groups()
        if octal or hexadecimal:
            return bytes([int(octal, 8) & 0xFF if octal else int(hexadecimal, 16)]).decode("utf-8", "surrogateescape")
        return _ESCAPED.get(letter, "\\" + letter)

    return _ESCAPE.sub(replace, text)


async def _echo(process: Process) -> int:
    args, end, escapes = list(process.args[1:]), "\n", False
    while args and re.fullmatch(r"-[neE]+", args[0]):
        flags = args.pop(0)
        end = "" if "n" in flags else end
        escapes = "e" in flags or escapes
    text = " ".join(args)
    await process.out((unescape(text) if escapes else text) + end)
    return 0


async def _printf(process: Process) -> int:
    if len(process.args) < 2:
        return await process.fail("usage: printf FORMAT [ARG]...")
    pattern, args, first = unescape(process.args[1]), list(process.args[2:]), True
    while first or args:
        before = len(args)
        try:
            await process.out(_CONVERSION.sub(lambda match: _converted(match.group(1), args), pattern))
        except ValueError as error:
            return await process.fail(error)
        if len(args) == before:
            break  # the format takes no arguments: it is printed once
        first = False
    return 0


def _converted(conversion: str, args: list[str]) -> str:
    if conversion == "%":
        return "%"
    value = args.pop(0) if args else ""
    if conversion.endswith("d"):
        if not re.fullmatch(r"[-+]?\d*", value):
            raise ValueError(f"invalid number '{value}'")
        return f"%{conversion}" % int(value or 0)
    return f"%{conversion[:-1]}s" % (value[:1] if conversion.endswith("c") else value)


async def _yes(process: Process) -> int:
    line = (" ".join(process.args[1:]) or "y") + "\n"
    block = line.encode() * max(1, _YES_BLOCK // len(line))
    while True:
        await process.out(block)
        await asyncio.sleep(0)


async def _seq(process: Process) -> int:
    try:
        numbers = [int(arg) for arg in process.args[1:]]
    except ValueError as error:
        return await process.fail(error)
    if not 1 <= len(numbers) <= 3:
        return await process.fail("usage: seq [FIRST [STEP]] LAST")
    first = numbers[0] if len(numbers) > 1 else 1
    step = numbers[1] if len(numbers) == 3 else 1
    for number in range(first, numbers[-1] + (1 if step > 0 else -1), step or 1):
        await process.out(f"{number}\n")
    return 0


async def _test(process: Process) -> int:
    args = list(process.args[1:])
    if process.args[0].endswith("["):
        if args[-1:] != ["]"]:
            return await process.fail("missing ]", 2)
        args.pop()
    negated = args[:1] == ["!"]
    verdict = _tested(process, args[1:] if negated else args)
    if verdict is None:
        return await process.fail(f"{' '.join(args)}: not supported by the fake's test", 2)
    return int(verdict == negated)


def _tested(process: Process, args: list[str]) -> bool | None:  # noqa: C901 - a table of forms
    files = process.files
    match args:
        case []:
            return False
        case [value]:
            return bool(value)
        case ["-n", value]:
            return bool(value)
        case ["-z", value]:
            return not value
        case ["-e" | "-r" | "-L", path]:
            return files.exists(path)
        case ["-f", path]:
            return files.is_file(path)
        case ["-d", path]:
            return files.is_directory(path)
        case ["-s", path]:
            return files.is_file(path) and bool(files.read(path))
        case [left, "=" | "==", right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case [left, "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" as sign, right]:
            return _compared(left, sign, right)
    return None


def _compared(left: str, sign: str, right: str) -> bool | None:
    try:
        difference = int(left) - int(right)
    except ValueError:
        return None
    return {
        "-eq": difference == 0,
        "-ne": difference != 0,
        "-lt": difference < 0,
        "-le": difference <= 0,
        "-gt": difference > 0,
        "-ge": difference >= 0,
    }[sign]


TABLE: dict[str, Program] = {
    "[": _test,
    "echo": _echo,
    "false": _false,
    "printf": _printf,
    "seq": _seq,
    "sleep": _sleep,
    "test": _test,
    "true": _true,
    "yes": _yes,
}
