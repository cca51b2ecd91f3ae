"""The tree that the parser makes and the interpreter walks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class ShellSyntaxError(Exception):
    """The text is no command, or one that this shell does not know."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word. ``text`` is a name for ``variable``, source text for ``command`` and ``arithmetic``."""

    kind: Literal["text", "variable", "command", "arithmetic"]
    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Word:
    parts: tuple[Part, ...]

    @property
    def plain(self) -> str | None:
        """The text of a word without quotes and expansions; None for any other."""
        if len(self.parts) == 1 and self.parts[0].kind == "text" and not self.parts[0].quoted:
            return self.parts[0].text
        return None


@dataclass(frozen=True, slots=True)
class Redirection:
    """``descriptor`` 0, 1 or 2 goes to a file, or where ``duplicate`` goes."""

    descriptor: int
    mode: Literal["read", "write", "append", "duplicate"]
    target: Word


@dataclass(frozen=True, slots=True)
class Simple:
    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    commands: tuple[Command, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class AndOr:
    """``first``, then each pair's pipeline when its operator agrees with the status before it."""

    first: Pipeline
    rest: tuple[tuple[Literal["&&", "||"], Pipeline], ...]
    background: bool


@dataclass(frozen=True, slots=True)
class If:
    branches: tuple[tuple[Script, Script], ...]
    otherwise: Script | None
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """``while``, or ``until``: the loop goes on as long as the condition's success equals ``goes_on``."""

    condition: Script
    goes_on: bool
    body: Script
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[Word, ...]
    body: Script
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True, slots=True)
class Group:
    body: Script
    subshell: bool
    redirections: tuple[Redirection, ...]


Command = Simple | If | Loop | For | Group
Script = tuple[AndOr, ...]
