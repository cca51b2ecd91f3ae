"""Tokens into a tree. Pure."""

from __future__ import annotations

import re
from typing import Literal

from runtimes.fake.shell.lexer import Operator, Token, tokens
from runtimes.fake.shell.syntax import (
    AndOr,
    Command,
    For,
    Group,
    If,
    Loop,
    Part,
    Pipeline,
    Redirection,
    Script,
    ShellSyntaxError,
    Simple,
    Word,
)

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_REDIRECTION = re.compile(r"([0-2]?)(>>|>&|>|<)")
_CLOSERS = frozenset(["then", "elif", "else", "fi", "do", "done", "}"])
_UNKNOWN = frozenset(["case", "esac", "function", "select", "[[", "in"])


def parse(text: str) -> Script:
    """The script that ``text`` is. Raises ShellSyntaxError."""
    parser = _Parser(tokens(text))
    script = parser.script()
    if parser.next is not None:
        raise parser.unexpected()
    return script


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def unexpected(self) -> ShellSyntaxError:
        token = self.next
        shown = "end of text" if token is None else token.text if isinstance(token, Operator) else _source(token)
        return ShellSyntaxError(f"syntax error: unexpected {'newline' if shown == chr(10) else shown}")

    def _is(self, *operators: str) -> bool:
        return isinstance(self.next, Operator) and self.next.text in operators

    def _is_word(self, *words: str) -> bool:
        return isinstance(self.next, Word) and self.next.plain in words

    def _take(self, *operators: str) -> bool:
        if self._is(*operators):
            self._at += 1
            return True
        return False

    def _expect_word(self, word: str) -> None:
        if not self._is_word(word):
            raise self.unexpected()
        self._at += 1

    def _word(self) -> Word:
        token = self.next
        if not isinstance(token, Word):
            raise self.unexpected()
        self._at += 1
        return token

    def script(self) -> Script:
        items: list[AndOr] = []
        while True:
            while self._take("\n"):
                pass
            if self.next is None or self._is(")") or self._is_word(*_CLOSERS):
                return tuple(items)
            items.append(self._and_or())
            if not self._is(";", "&", "\n") and self.next is not None and not self._is(")"):
                raise self.unexpected()
            self._take(";", "&", "\n")

    def _and_or(self) -> AndOr:
        first = self._pipeline()
        rest: list[tuple[Literal["&&", "||"], Pipeline]] = []
        while self._is("&&", "||"):
            operator: Literal["&&", "||"] = "&&" if self._is("&&") else "||"
            self._at += 1
            while self._take("\n"):
                pass
            rest.append((operator, self._pipeline()))
        return AndOr(first, tuple(rest), background=self._is("&"))

    def _pipeline(self) -> Pipeline:
        negated = False
        while self._is_word("!"):
            self._at += 1
            negated = not negated
        commands = [self._command()]
        while self._take("|"):
            while self._take("\n"):
                pass
            commands.append(self._command())
        return Pipeline(tuple(commands), negated)

    def _command(self) -> Command:
        if self._take("("):
            body = self.script()
            if not self._take(")"):
                raise self.unexpected()
            return Group(body, True, self._redirections())
        if not isinstance(self.next, Word):
            return self._simple()
        if self.next.plain in _UNKNOWN:
            raise ShellSyntaxError(f"syntax error: {self.next.plain!r} is not supported by the fake's shell")
        match self.next.plain:
            case "if":
                return self._if()
            case "while" | "until" as kind:
                self._at += 1
                condition = self.script()
                body = self._do()
                return Loop(condition, kind == "while", body, self._redirections())
            case "for":
                return self._for()
            case "{":
                self._at += 1
                body = self.script()
                self._expect_word("}")
                return Group(body, False, self._redirections())
        return self._simple()

    def _if(self) -> If:
        branches: list[tuple[Script, Script]] = []
        otherwise: Script | None = None
        while self._is_word("if", "elif"):
            self._at += 1
            condition = self.script()
            self._expect_word("then")
            branches.append((condition, self.script()))
        if self._is_word("else"):
            self._at += 1
            otherwise = self.script()
        self._expect_word("fi")
        return If(tuple(branches), otherwise, self._redirections())

    def _for(self) -> For:
        self._at += 1
        name = self._word().plain
        if name is None or not name.isidentifier():
            raise ShellSyntaxError("syntax error: bad for loop variable")
        words: list[Word] = []
        if self._is_word("in"):
            self._at += 1
            while isinstance(self.next, Word):
                words.append(self._word())
        else:
            words.append(Word((Part("variable", "@", True),)))
        while self._take(";", "\n"):
            pass
        return For(name, tuple(words), self._do(), self._redirections())

    def _do(self) -> Script:
        self._expect_word("do")
        body = self.script()
        self._expect_word("done")
        return body

    def _simple(self) -> Simple:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirections: list[Redirection] = []
        while True:
            more = self._redirections()
            if more:
                redirections.extend(more)
            elif isinstance(self.next, Word):
                word = self._word()
                assignment = None if words else _assignment(word)
                if assignment:
                    assignments.append(assignment)
                else:
                    words.append(word)
            else:
                break
        if self._is("(") and words:
            raise ShellSyntaxError("syntax error: functions are not supported by the fake's shell")
        if self._is("<<", ";;"):
            raise self.unexpected()
        if not (assignments or words or redirections):
            raise self.unexpected()
        return Simple(tuple(assignments), tuple(words), tuple(redirections))

    def _redirections(self) -> tuple[Redirection, ...]:
        found: list[Redirection] = []
        while isinstance(self.next, Operator):
            if self._take("&>"):
                found.append(Redirection(1, "write", self._word()))
                found.append(Redirection(2, "duplicate", Word((Part("text", "1", False),))))
                continue
            match = _REDIRECTION.fullmatch(self.next.text)
            if not match:
                break
            self._at += 1
            digit, sign = match.groups()
            if sign == "<":
                found.append(Redirection(0, "read", self._word()))
            else:
                mode: Literal["write", "append", "duplicate"] = (
                    "append" if sign == ">>" else "duplicate" if sign == ">&" else "write"
                )
                found.append(Redirection(int(digit or 1), mode, self._word()))
        return tuple(found)


def _assignment(word: Word) -> tuple[str, Word] | None:
    first = word.parts[0]
    match = _ASSIGNMENT.fullmatch(first.text) if first.kind == "text" and not first.quoted else None
    if not match:
        return None
    name, value = match.groups()
    head = (Part("text", value, False),) if value else ()
    return name, Word(head + word.parts[1:])


def _source(word: Word) -> str:
    return "".join(part.text for part in word.parts)
