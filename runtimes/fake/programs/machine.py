"""Programs that tell about the machine and its processes: env, pwd, hostname, id, date, uname, kill, ps, stty."""

from __future__ import annotations

import posixpath
from datetime import UTC, datetime

from runtimes.fake.process import Process, Program
from runtimes.fake.program_table import ProgramNotFound
from runtimes.fake.shell.state import signal_number
from runtimes.fake.users import Accounts

_MACHINES = {"386": "i686", "amd64": "x86_64", "arm": "armv7l", "arm64": "aarch64"}
"""The kernel's words for OCI's architectures, where they differ."""


async def _env(process: Process) -> int:
    args = list(process.args[1:])
    env = dict(process.env)
    while args and "=" in args[0]:
        name, _, value = args.pop(0).partition("=")
        env[name] = value
    if not args:
        await process.out("".join(f"{name}={value}\n" for name, value in env.items()))
        return 0
    process.env = env
    try:
        program = process.replace(args)
    except ProgramNotFound:
        return await process.fail(f"can't execute '{args[0]}': No such file or directory", 127)
    return await program(process)


async def _pwd(process: Process) -> int:
    await process.out(process.cwd + "\n")
    return 0


async def _hostname(process: Process) -> int:
    await process.out((process.guest.network.address if "-i" in process.args else process.guest.hostname) + "\n")
    return 0


def _accounts(process: Process) -> Accounts:
    files = process.files
    passwd, group = (files.read(path) if files.is_file(path) else b"" for path in ("/etc/passwd", "/etc/group"))
    return Accounts(passwd, group)


async def _id(process: Process) -> int:
    user, accounts = process.user, _accounts(process)

    def named(number: int, name: str) -> str:
        return f"{number}({name})" if name else str(number)

    match process.args[1:]:
        case ["-u"]:
            text = str(user.uid)
        case ["-g"]:
            text = str(user.gid)
        case ["-G"]:
            text = " ".join(map(str, [user.gid, *(gid for gid in user.groups if gid != user.gid)]))
        case ["-un"] | ["-u", "-n"]:
            text = accounts.user_name(user.uid) or str(user.uid)
        case []:
            groups = ",".join(named(gid, accounts.group_name(gid)) for gid in user.groups)
            text = (
                f"uid={named(user.uid, accounts.user_name(user.uid))} "
                f"gid={named(user.gid, accounts.group_name(user.gid))} groups={groups}"
            )
        case other:
            return await process.fail(f"{' '.join(other)}: not supported by the fake's id")
    await process.out(text + "\n")
    return 0


async def _whoami(process: Process) -> int:
    name = _accounts(process).user_name(process.user.uid)
    if not name:
        return await process.fail(f"unknown uid {process.user.uid}")
    await process.out(name + "\n")
    return 0


async def _date(process: Process) -> int:
    now_ns = process.clock.now_ns()
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    form = next((arg[1:] for arg in process.args[1:] if arg.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    text = form.replace("%s", str(now_ns // 1_000_000_000)).replace("%N", f"{now_ns % 1_000_000_000:09d}")
    await process.out(now.strftime(text) + "\n")
    return 0


async def _uname(process: Process) -> int:
    machine = _MACHINES.get(process.guest.architecture, process.guest.architecture)
    fields = {"s": "Linux", "n": process.guest.hostname, "r": "6.0.0-fake", "m": machine}
    flags = "".join(arg[1:] for arg in process.args[1:]) or "s"
    await process.out(" ".join(text for flag, text in fields.items() if flag in flags or "a" in flags) + "\n")
    return 0


async def _nproc(process: Process) -> int:
    await process.out("1\n")
    return 0


async def _kill(process: Process) -> int:
    args, number = list(process.args[1:]), 15
    if args[:1] == ["-s"] and len(args) > 1:
        args = ["-" + args[1], *args[2:]]
    if args and args[0].startswith("-"):
        found = signal_number(args.pop(0)[1:])
        if found is None:
            return await process.fail("bad signal name")
        number = found
    if not args:
        return await process.fail("you need to specify whom to kill")
    status = 0
    for arg in args:
        target = process.guest.processes.get(int(arg)) if arg.isdecimal() else None
        if target is None:
            status = await process.fail(f"can't kill pid {arg}: No such process")
        elif not (number in (9, 19) and target.pid == 1):  # a namespace's first process is safe from its own
            target.signal(number)
    return status


async def _ps(process: Process) -> int:
    lines = ["PID   USER     COMMAND\n"]
    for pid, each in sorted(process.guest.processes.items()):
        lines.append(f"{pid:5d} {each.user.name or each.user.uid!s:8} {' '.join(each.args)}\n")
    await process.out("".join(lines))
    return 0


async def _stty(process: Process) -> int:
    if not process.tty:
        return await process.fail("standard input: Not a tty")
    if "size" in process.args:
        await process.out("{} {}\n".format(*process.size))
    return 0


async def _tty(process: Process) -> int:
    await process.out("/dev/pts/0\n" if process.tty else "not a tty\n")
    return int(not process.tty)


async def _basename(process: Process) -> int:
    if len(process.args) < 2:
        return await process.fail("missing operand")
    await process.out(posixpath.basename(process.args[1].rstrip("/")) + "\n")
    return 0


TABLE: dict[str, Program] = {
    "basename": _basename,
    "date": _date,
    "env": _env,
    "hostname": _hostname,
    "id": _id,
    "kill": _kill,
    "nproc": _nproc,
    "ps": _ps,
    "printenv": _env,
    "pwd": _pwd,
    "stty": _stty,
    "tty": _tty,
    "uname": _uname,
    "whoami": _whoami,
}
