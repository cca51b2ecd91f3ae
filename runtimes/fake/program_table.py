"""Which program a command runs."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cri.errors import InvalidArgument

if TYPE_CHECKING:
    from runtimes.fake.process import Program

_SEARCHED = ("", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")


class Programs:
    """Programs by name or by full path. A path in a usual ``bin`` directory finds the name after it."""

    def __init__(self, programs: Mapping[str, Program] | None = None, default: Program | None = None) -> None:
        self._programs = dict(programs or {})
        self.default = default

    def register(self, name: str, program: Program) -> None:
        """Let ``name`` (or, with a leading slash, exactly that path) run ``program``, in containers started later."""
        if not name:
            raise InvalidArgument("name: a program needs a name or an absolute path")
        self._programs[name] = program

    def find(self, command: str) -> Program | None:
        """What ``command`` runs: a registered program, or else the default."""
        return self.registered(command) or self.default

    def registered(self, command: str) -> Program | None:
        directory, base = posixpath.split(command)
        found = self._programs.get(command)
        if found is None and directory in _SEARCHED:
            found = self._programs.get(base)
        return found

    def names(self) -> list[str]:
        return sorted(self._programs)

    def falling_back_to(self, default: Program) -> Programs:
        """The same programs (later registrations included), with one for every name that nobody registered."""
        copy = Programs(default=default)
        copy._programs = self._programs
        return copy


class ProgramNotFound(Exception):
    """Nothing is registered under this name. The message is what a real runtime would say."""

    def __init__(self, command: str) -> None:
        super().__init__(f'exec: "{command}": executable file not found in $PATH')
        self.command = command
