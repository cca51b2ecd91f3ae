"""Text to plain data: the documents of a YAML, JSON or TOML manifest, before anyone asks what they mean.

Scalars of YAML, and fractions in the other two, stay text: what ``8080:80``, ``on``, ``010`` or ``1.10`` are is
decided by the field they are written to, not by YAML 1.1. Keys that appear twice are refused in every format.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from orchestrator.problems import Path, Problem, refuse

Format = Literal["yaml", "json", "toml"]
FORMATS: tuple[Format, ...] = ("yaml", "json", "toml")

MAX_NODES = 200_000
"""The most values one document may have once its aliases are written out."""

_EMPTY = ("", "~", "null", "Null", "NULL")
_KNOWN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """``data`` as written; ``lines`` says where each path begins (YAML only)."""

    data: Any
    number: int = 0
    lines: dict[Path, int] = field(default_factory=dict)


def load(text: str, form: Format, source: str) -> list[Document]:
    """The documents in ``text``. Raises ManifestInvalid where it is not the format it claims to be."""
    readers = {"yaml": _yaml, "json": _json, "toml": _toml}
    try:
        documents = list(readers[form](text, source))
    except RecursionError:
        raise refuse([Problem("is nested too deeply", source)]) from None
    several = len(documents) > 1
    return [Document(one.data, at if several else 0, one.lines) for at, one in enumerate(documents, 1)]


def _yaml(text: str, source: str) -> Iterator[Document]:
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            reader = _YamlReader(source)
            data = reader.value(node, ())
            if data is not None:
                yield Document(data, lines=reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise refuse([Problem(f"not YAML: {what}", source, line=mark.line + 1 if mark else 0)]) from None
    except yaml.YAMLError as error:
        raise refuse([Problem(f"not YAML: {' '.join(str(error).split())}", source)]) from None


class _YamlReader:
    """Turns one tree of nodes into data, and remembers lines on the way."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Path, int] = {}
        self._count = 0
        self._open: list[yaml.Node] = []

    def _refuse(self, message: str, node: yaml.Node, path: Path) -> Exception:
        return refuse([Problem(message, self.source, line=node.start_mark.line + 1, path=path)])

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise self._refuse(f"has more than {MAX_NODES} values once its aliases are written out", node, path)
        if node in self._open:
            raise self._refuse("contains itself", node, path)
        if node.tag not in _KNOWN_TAGS:
            raise self._refuse(f"the tag {node.tag!r} is not supported; remove it", node, path)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            plain = node.style in (None, "")
            return None if plain and node.value in _EMPTY else node.value
        self._open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, at)) for at, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refuse("a key must be plain text", key, path)
            if key.value == "<<" and key.style in (None, ""):
                for other in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                    if not isinstance(other, yaml.MappingNode):
                        raise self._refuse("'<<' takes a mapping or a list of mappings", other, path)
                    merged = {**self.value(other, path), **merged}
            elif key.value in own:
                raise self._refuse("the key is given twice", key, (*path, key.value))
            else:
                self.lines[(*path, key.value)] = key.start_mark.line + 1
                own[key.value] = self.value(item, (*path, key.value))
        return {**merged, **own}


def _json(text: str, source: str) -> Iterator[Document]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            twice = next(key for at, (key, _) in enumerate(items) if key in dict(items[:at]))
            raise refuse([Problem("the key is given twice", source, path=(twice,))])
        return found

    decoder = json.JSONDecoder(parse_float=str, object_pairs_hook=pairs)
    at = 0
    while (at := at + len(text[at:]) - len(text[at:].lstrip())) < len(text):
        try:
            data, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise refuse([Problem(f"not JSON: {error.msg}", source, line=error.lineno)]) from None
        yield Document(data)


def _toml(text: str, source: str) -> Iterator[Document]:
    try:
        yield Document(tomllib.loads(text, parse_float=str))
    except tomllib.TOMLDecodeError as error:
        raise refuse([Problem(f"not TOML: {error}", source)]) from None
