"""YAML as plain data with the line of each path: the part of ``documents`` that needs a YAML library.

Scalars stay text, aliases and merge keys are written out, and whatever YAML could do besides is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from cri.documents import Document, Unreadable
from cri.fields import Path

MAX_NODES = 200_000
"""The most values one document may have once its aliases are written out."""

_EMPTY = ("", "~", "null", "Null", "NULL")
_KNOWN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def documents(text: str) -> Iterator[Document]:
    """The documents in ``text`` that hold anything. Raises Unreadable."""
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            reader = _Reader()
            data = reader.value(node, ())
            if data is not None:
                yield Document(data, lines=reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(f"not YAML: {what}", line=mark.line + 1 if mark else 0) from None
    except yaml.YAMLError as error:
        raise Unreadable(f"not YAML: {' '.join(str(error).split())}") from None


class _Reader:
    """Turns one tree of nodes into data, and remembers lines on the way."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self._count = 0
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise Unreadable(
                f"has more than {MAX_NODES} values once its aliases are written out", node.start_mark.line + 1, path
            )
        if node in self._open:
            raise Unreadable("contains itself", node.start_mark.line + 1, path)
        if node.tag not in _KNOWN_TAGS:
            raise Unreadable(f"the tag {node.tag!r} is not supported; remove it", node.start_mark.line + 1, path)
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
                raise Unreadable("a key must be plain text", key.start_mark.line + 1, path)
            if key.value == "<<" and key.style in (None, ""):
                for other in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                    if not isinstance(other, yaml.MappingNode):
                        raise Unreadable("'<<' takes a mapping or a list of mappings", other.start_mark.line + 1, path)
                    merged = {**self.value(other, path), **merged}
            elif key.value in own:
                raise Unreadable("the key is given twice", key.start_mark.line + 1, (*path, key.value))
            else:
                self.lines[(*path, key.value)] = key.start_mark.line + 1
                own[key.value] = self.value(item, (*path, key.value))
        return {**merged, **own}
