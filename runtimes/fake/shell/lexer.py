"""Text into words and operators. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtimes.fake.shell.syntax import Part, ShellSyntaxError, Word

_OPERATOR = re.compile(r"&&|\|\||;;|&>|[0-2]?>>|[0-2]?>&|<<|[0-2]?>|<|[;&|()\n]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9?$!#@*]")
_SPECIAL = frozenset(" \t\n;&|()<>")


@dataclass(frozen=True, slots=True)
class Operator:
    text: str


Token = Word | Operator


def tokens(text: str) -> list[Token]:
    """All tokens of ``text``. Raises ShellSyntaxError for an open quote and the like."""
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def run(self) -> list[Token]:
        found: list[Token] = []
        while self._skip_blanks():
            operator = _OPERATOR.match(self._text, self._at)
            if operator:
                self._at = operator.end()
                found.append(Operator(operator.group()))
            else:
                found.append(self._word())
        return found

    def _skip_blanks(self) -> bool:
        while self._at < len(self._text):
            if self._text.startswith("\\\n", self._at):
                self._at += 2
            elif self._text[self._at] in " \t":
                self._at += 1
            elif self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return True
        return False

    def _word(self) -> Word:
        parts: list[Part] = []
        while self._at < len(self._text) and (char := self._text[self._at]) not in _SPECIAL:
            if char == "'":
                end = self._text.find("'", self._at + 1)
                if end < 0:
                    raise ShellSyntaxError("unterminated quoted string")
                parts.append(Part("text", self._text[self._at + 1 : end], True))
                self._at = end + 1
            elif char == '"':
                self._at += 1
                parts.extend(self._double_quoted())
            else:
                parts.append(self._piece(quoted=False))
        return Word(_joined(parts))

    def _double_quoted(self) -> list[Part]:
        parts = [Part("text", "", True)]  # so that "" is a word of its own
        while True:
            if self._at >= len(self._text):
                raise ShellSyntaxError("unterminated quoted string")
            if self._text[self._at] == '"':
                self._at += 1
                return parts
            parts.append(self._piece(quoted=True))

    def _piece(self, *, quoted: bool) -> Part:
        """One character, escape or expansion."""
        char = self._text[self._at]
        if char == "`":
            raise ShellSyntaxError("backquotes are not supported: write $(command)")
        if char == "\\" and self._at + 1 < len(self._text):
            following = self._text[self._at + 1]
            self._at += 2
            if quoted and following not in '$"\\`\n':
                return Part("text", char + following, True)
            return Part("text", "" if following == "\n" else following, True)
        if char == "$":
            return self._dollar(quoted)
        self._at += 1
        return Part("text", char, quoted)

    def _dollar(self, quoted: bool) -> Part:
        text, at = self._text, self._at
        if text.startswith("$((", at):
            end = self._matching(at + 1)
            self._at = end + 1
            return Part("arithmetic", text[at + 3 : end - 1], quoted)
        if text.startswith("$(", at):
            end = self._matching(at + 1)
            self._at = end + 1
            return Part("command", text[at + 2 : end], quoted)
        if text.startswith("${", at):
            end = text.find("}", at)
            if end < 0:
                raise ShellSyntaxError("missing '}'")
            self._at = end + 1
            return Part("variable", text[at + 2 : end], quoted)
        name = _NAME.match(text, at + 1)
        if not name:
            self._at += 1
            return Part("text", "$", quoted)
        self._at = name.end()
        return Part("variable", name.group(), quoted)

    def _matching(self, opening: int) -> int:
        """The position of the parenthesis that closes the one at ``opening``; quotes hide parentheses."""
        depth, quote = 0, ""
        for position in range(opening, len(self._text)):
            char = self._text[position]
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    return position
        raise ShellSyntaxError("missing ')'")


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbouring pieces of text of the same kind as one."""
    joined: list[Part] = []
    for part in parts:
        if joined and part.kind == "text" == joined[-1].kind and part.quoted == joined[-1].quoted:
            joined[-1] = Part("text", joined[-1].text + part.text, part.quoted)
        else:
            joined.append(part)
    return tuple(joined)
