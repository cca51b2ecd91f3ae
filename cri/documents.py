"""Text to plain data: the documents of YAML, JSON or TOML, before anyone asks what they mean.

Scalars of YAML, and fractions in the other two, stay text: what ``8080:80``, ``on``, ``010`` or ``1.10`` are is
decided by the field they are written to, not by YAML 1.1. Keys that appear twice are refused in every format.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Literal

from cri.errors import InvalidArgument
from cri.fields import Path, Problem

Format = Literal["yaml", "json", "toml"]
FORMATS: tuple[Format, ...] = ("yaml", "json", "toml")
EXTENSIONS: Mapping[str, Format] = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


@dataclass(frozen=True, slots=True)
class Document:
    """``data`` as written; ``number`` counts from 1 where there are several; ``lines`` says where each path begins
    (YAML only)."""

    data: Any
    number: int = 0
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """The line of ``path``, or of the nearest thing around it that has one; 0 when nothing has."""
        around = (path[:length] for length in range(len(path), -1, -1))
        return next((self.lines[one] for one in around if one in self.lines), 0)


class Unreadable(ValueError):
    """The text is not what it claims to be, or says something twice."""

    def __init__(self, message: str, line: int = 0, path: Path = ()) -> None:
        super().__init__(message)
        self.message, self.line, self.path = message, line, path

    def problem(self, source: str) -> Problem:
        """The same with the name of the file."""
        return Problem(self.path, self.message, source, self.line)


def load(text: str, form: Format) -> list[Document]:
    """The documents in ``text``. Raises Unreadable."""
    try:
        documents = list(_READERS[form](text))
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    several = len(documents) > 1
    return [Document(one.data, at if several else 0, one.lines) for at, one in enumerate(documents, 1)]


def read(path: FilePath) -> Document:
    """The one table in a file of settings, empty if the file is. Raises InvalidArgument with file and line."""
    form = EXTENSIONS.get(path.suffix.lower())
    if form is None:
        raise InvalidArgument(f"{path}: the extension {path.suffix!r} says no format; allowed: {', '.join(EXTENSIONS)}")
    try:
        documents = load(path.read_text(encoding="utf-8"), form) or [Document({})]
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise InvalidArgument(str(error.problem(str(path)))) from None
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path}: {not_text(error)}") from None
    if len(documents) > 1 or not isinstance(documents[0].data, dict):
        found = f"{len(documents)} documents" if len(documents) > 1 else f"a {type(documents[0].data).__name__}"
        raise InvalidArgument(f"{path}: holds {found}; a table of settings is expected")
    return documents[0]


def not_text(error: UnicodeDecodeError) -> str:
    """Which byte of a file is not UTF-8."""
    return f"not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"


def _yaml(text: str) -> Iterator[Document]:
    from cri.yaml_documents import documents

    return documents(text)


def _json(text: str) -> Iterator[Document]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            twice = next(key for at, (key, _) in enumerate(items) if key in dict(items[:at]))
            raise Unreadable("the key is given twice", path=(twice,))
        return found

    decoder = json.JSONDecoder(parse_float=str, object_pairs_hook=pairs)
    at = 0
    while (at := at + len(text[at:]) - len(text[at:].lstrip())) < len(text):
        try:
            data, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise Unreadable(f"not JSON: {error.msg}", error.lineno) from None
        yield Document(data)


def _toml(text: str) -> Iterator[Document]:
    try:
        yield Document(tomllib.loads(text, parse_float=str))
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"not TOML: {error}") from None


_READERS: Mapping[Format, Callable[[str], Iterator[Document]]] = {"yaml": _yaml, "json": _json, "toml": _toml}
