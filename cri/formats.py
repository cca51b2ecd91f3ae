"""A configuration file's text as plain data. The extension names the format; a key given twice is an error."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cri.errors import InvalidArgument


def read(path: Path) -> dict[str, Any]:
    """The table in the file. Raises InvalidArgument that names the file and, where it can, the line."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidArgument(f"{path}: the extension {path.suffix!r} says no format; allowed: {', '.join(_READERS)}")
    try:
        data = reader(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InvalidArgument(f"{path}: holds a {type(data).__name__}; a table of settings is expected")
    return data


def _json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_once) if text.strip() else {}


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {key!r} is given twice")
        table[key] = value
    return table


def _yaml(text: str) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML lets a later key replace an earlier one in silence; here it is said."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                    raise ValueError(f"line {line}: the key {key.value!r} is not text; write it in quotes")
                if key.value in seen:
                    raise ValueError(f"line {line}: the key {key.value!r} is given twice")
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        data = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return {} if data is None else data


_READERS: dict[str, Callable[[str], object]] = {
    ".toml": tomllib.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
}
