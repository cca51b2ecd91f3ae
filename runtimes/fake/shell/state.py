"""What a shell remembers between commands."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field

from runtimes.fake.process import IGNORE, Process

EXIT = 0
"""The number under which ``trap … EXIT`` is kept."""


class Exit(Exception):
    """``exit``: leave the shell."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Break(Exception):
    """``break``: leave the innermost loop."""


class Continue(Exception):
    """``continue``: the innermost loop's next turn."""


@dataclass
class State:
    """``tested`` counts the conditions around the current command: inside one, ``set -e`` is asleep."""

    process: Process
    name: str = "sh"
    positional: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    traps: dict[int, str] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    trapped: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: list[Process] = field(default_factory=list)
    last_job: Process | None = None
    status: int = 0
    substituted: int = 0
    errexit: bool = False
    tested: int = 0

    def __post_init__(self) -> None:
        self.variables = dict(self.process.env)
        self.exported = set(self.process.env)

    def copy_for(self, process: Process) -> State:
        """The state of a subshell: no traps, no jobs, everything else alike."""
        copy = State(process, self.name, list(self.positional))
        copy.variables, copy.exported = dict(self.variables), set(self.exported)
        copy.status, copy.errexit, copy.tested = self.status, self.errexit, self.tested
        return copy

    def lookup(self, name: str) -> str | None:
        match name:
            case "?":
                return str(self.status)
            case "$":
                return str(self.process.pid)
            case "!":
                return str(self.last_job.pid) if self.last_job else ""
            case "#":
                return str(len(self.positional))
            case "0":
                return self.name
        if name.isdecimal():
            index = int(name) - 1
            return self.positional[index] if index < len(self.positional) else None
        return self.variables.get(name)

    def assign(self, name: str, value: str) -> None:
        self.variables[name] = value

    def environment(self) -> dict[str, str]:
        return {name: self.variables[name] for name in sorted(self.exported & self.variables.keys())}

    def trap(self, number: int, action: str | None) -> None:
        """Set what a signal (or ``EXIT``) does: None for the default, empty for nothing at all."""
        self.traps.pop(number, None)
        if action is not None and (action or number == EXIT):
            self.traps[number] = action
        if number == EXIT:
            return
        if action is None:
            self.process.on_signal(number, None)
        else:
            self.process.on_signal(number, self._remember if action else IGNORE)

    def _remember(self, number: int) -> None:
        self.pending.append(number)
        self.trapped.set()


def signal_number(text: str) -> int | None:
    """``TERM``, ``SIGTERM``, ``15`` or ``EXIT`` -> number; None for anything else."""
    if text.isdecimal():
        return int(text) if int(text) <= signal.NSIG else None
    name = text.upper().removeprefix("SIG")
    if name == "EXIT":
        return EXIT
    try:
        return signal.Signals["SIG" + name]
    except KeyError:
        return None
