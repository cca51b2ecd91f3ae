"""Words into arguments: variables, arithmetic and field splitting. Pure, but for ``$(command)``, which is handed in."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Awaitable, Callable, Iterable

from runtimes.fake.shell.syntax import Part, ShellSyntaxError, Word

_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*|[0-9?$!#@*])(?:(:?[-=+])(.*))?", re.DOTALL)
_NAME = re.compile(r"\$?\b([A-Za-z_][A-Za-z0-9_]*)\b")
_OPERATORS: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

Lookup = Callable[[str], str | None]
Substitute = Callable[[str], Awaitable[str]]


class Expander:
    """Expands words with ``lookup`` for variables, ``positional`` for ``$@`` and ``substitute`` for ``$(…)``."""

    def __init__(self, lookup: Lookup, positional: Callable[[], list[str]], substitute: Substitute) -> None:
        self._lookup = lookup
        self._positional = positional
        self._substitute = substitute

    async def fields(self, words: Iterable[Word]) -> list[str]:
        """The arguments that ``words`` become; an unquoted expansion may become none or several."""
        found: list[str] = []
        for word in words:
            found.extend(await self._split(word))
        return found

    async def text(self, word: Word) -> str:
        """The word as one string, as assignments and redirections want it."""
        return "".join([await self._value(part) for part in word.parts])

    async def _split(self, word: Word) -> list[str]:
        fields: list[str] = []
        current: str | None = None
        for part in word.parts:
            if part.kind == "variable" and part.text in ("@", "*") and (part.text == "@" or not part.quoted):
                positional = self._positional()
                current = (current or "") + positional[0] if positional else current
                for each in positional[1:]:
                    fields.append(current or "")
                    current = each
                continue
            value = await self._value(part)
            if part.quoted or part.kind == "text":
                current = (current or "") + value
                continue
            pieces = value.split()
            if not pieces:
                continue
            if value[0].isspace() and current is not None:
                fields.append(current)
                current = None
            for piece in pieces[:-1]:
                fields.append((current or "") + piece)
                current = None
            current = (current or "") + pieces[-1]
            if value[-1].isspace():
                fields.append(current)
                current = None
        return fields if current is None else [*fields, current]

    async def _value(self, part: Part) -> str:
        match part.kind:
            case "text":
                return part.text
            case "command":
                return (await self._substitute(part.text)).rstrip("\n")
            case "arithmetic":
                return str(self._arithmetic(part.text))
        return self._variable(part.text)

    def _variable(self, source: str) -> str:
        match = _BRACED.fullmatch(source)
        if not match:
            raise ShellSyntaxError(f"bad substitution: ${{{source}}} is not supported by the fake's shell")
        name, sign, word = match.groups()
        value = " ".join(self._positional()) if name in "@*" else self._lookup(name)
        if not sign:
            return value or ""
        is_there = value if sign.startswith(":") else value is not None
        if sign.endswith("="):
            raise ShellSyntaxError(f"bad substitution: ${{{source}}} is not supported by the fake's shell")
        if sign.endswith("+"):
            return word if is_there else ""
        return (value or "") if is_there else word

    def _arithmetic(self, source: str) -> int:
        text = _NAME.sub(lambda match: f"({self._lookup(match.group(1)) or 0})", source)
        try:
            return _evaluate(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ValueError, ZeroDivisionError) as error:
            raise ShellSyntaxError(f"arithmetic syntax error: {source.strip()!r}") from error


def _evaluate(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            numerator, denominator = _evaluate(left), _evaluate(right)
            quotient = abs(numerator) // abs(denominator)  # C rounds towards zero, Python down
            return quotient if (numerator < 0) == (denominator < 0) else -quotient
        case ast.BinOp(left=left, op=ast.Mod(), right=right):
            numerator, denominator = _evaluate(left), _evaluate(right)
            return (abs(numerator) % abs(denominator)) * (-1 if numerator < 0 else 1)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return int(_OPERATORS[type(sign)](_evaluate(left), _evaluate(right)))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _OPERATORS:
            return int(_OPERATORS[type(sign)](_evaluate(left), _evaluate(right)))
    raise ValueError("not arithmetic")
