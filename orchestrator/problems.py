"""What is wrong with a manifest: every problem at once, each with file, document, line, field, value and way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cri.errors import InvalidArgument

Path = tuple[str | int, ...]


class ManifestInvalid(InvalidArgument):
    """A manifest that cannot be taken. The message has one line for each problem; nothing of it was applied."""

    reason = "MANIFEST_INVALID"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right. ``line`` is 0 and ``document`` 0 where they mean nothing."""

    message: str
    source: str = ""
    document: int = 0
    line: int = 0
    path: Path = ()

    def __str__(self) -> str:
        where = f"{self.source or 'manifest'}{f':{self.line}' if self.line else ''}"
        number = f" document {self.document}" if self.document else ""
        field = f": {field_name(self.path)}" if self.path else ""
        return f"{where}{number}{field}: {self.message}"


def refuse(problems: Iterable[Problem]) -> ManifestInvalid:
    """The error that carries ``problems``."""
    return ManifestInvalid("\n".join(str(problem) for problem in problems))


def field_name(path: Path) -> str:
    """``("network", "ports", 0)`` -> ``network.ports[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """The line of ``path``, or of the nearest thing around it that has one."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 0


def explain(model: type[BaseModel], error: ValidationError) -> Iterator[tuple[Path, str]]:
    """Each error of pydantic's as the path of the field and a sentence that names value and way out."""
    for one in error.errors(include_url=False):
        path: Path = tuple(part for part in one["loc"] if part != "[key]")
        yield path, _sentence(model, path, one["type"], one["msg"], one["input"], one.get("ctx", {}))


def _sentence(model: type[BaseModel], path: Path, kind: str, text: str, value: Any, context: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        known = _fields(model, path[:-1])
        near = get_close_matches(str(path[-1]), known, n=1)
        return "unknown key" + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}")
    if kind == "missing":
        return "is required"
    if value is None:
        return "is empty; give a value, or leave the key out"
    if kind == "value_error":
        reason = str(context.get("error", text))
    elif kind == "string_pattern_mismatch":
        reason = f"must be {_description(model, path) or text}"
    else:
        reason = text.replace("Input should", "must").replace("Value should", "must")
    return reason if isinstance(value, dict | BaseModel) else f"{_shown(value)}: {reason}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _annotation_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _annotation_models(inner)


def _fields(model: type[BaseModel], path: Path) -> dict[str, FieldInfo]:
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_annotation_models(model.model_fields[part].annotation), model)
    return dict(model.model_fields)


def _description(model: type[BaseModel], path: Path) -> str:
    names = [part for part in path if isinstance(part, str)]
    while names:
        field = _fields(model, tuple(names[:-1])).get(names[-1])
        if field is not None:
            return field.description or _inner_description(field.annotation)
        names.pop()
    return ""


def _inner_description(annotation: Any) -> str:
    for part in get_args(annotation):
        found = part.description if isinstance(part, FieldInfo) else _inner_description(part)
        if found:
            return str(found)
    return ""
