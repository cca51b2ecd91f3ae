"""One loader for every settings model: a file, the environment over it, flags over both.

It remembers where each value came from. What is wrong is told all at once, each problem with the place it was written
in, the dotted key, the value (never a secret one) and what is allowed.

- **File**: TOML, YAML or JSON by extension; the first that exists of the path given, ``MINICRI_CONFIG``,
  ``./minicri.toml``, ``$XDG_CONFIG_HOME/minicri/config.toml`` (``~/.config`` without the variable) and
  ``/etc/minicri/config.toml``. A path that was given and is missing is an error.
- **Environment**: ``MINICRI_LISTEN`` is ``listen``, ``MINICRI_LOG__LEVEL`` is ``log.level``: two underscores go one
  level down. Lists and tables are written as JSON. An unknown ``MINICRI_*`` is an error as an unknown key is.
- **Flags**: dotted keys; None means that the flag was not given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from cri.documents import read
from cri.errors import InvalidArgument
from cri.fields import Path, Problem, dotted, is_structured, problems
from cri.settings import LogSettings, ServerSettings

__all__ = ["DEFAULT", "Loaded", "LogSettings", "ServerSettings", "Setting", "find", "load"]

ENV_PREFIX = "MINICRI_"

DEFAULT = "default"
"""The source of a value that nobody set."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Setting:
    """One value as it is shown: secrets are stars."""

    key: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """The settings, and for each dotted key where its value came from: a file, a variable, a flag, or ``default``."""

    value: M
    sources: Mapping[str, str]
    path: FilePath | None
    """The file that was read; None where there was none."""

    def settings(self) -> list[Setting]:
        """Every value, in the order of the model, ready to print."""
        shown = self.value.model_dump(mode="json")
        return [Setting(dotted(path), value, self.sources.get(dotted(path), DEFAULT)) for path, value in _leaves(shown)]


@dataclass(frozen=True, slots=True)
class _Assignment:
    path: Path
    value: Any
    source: str
    line: int = 0


def load(
    model: type[M],
    path: str | FilePath | None = None,
    *,
    env_prefix: str = ENV_PREFIX,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, object] | None = None,
    search: bool = True,
) -> Loaded[M]:
    """The settings of ``model`` from all places. Raises InvalidArgument with one line for each problem.

    ::

        loaded = load(ServerSettings, flags={"runtime": "podman", "listen": None})
        loaded.value.runtime, loaded.sources["runtime"]  # "podman", "flag --runtime"

    ``search`` false: no file is looked for when ``path`` is absent.
    """
    file = FilePath(path) if path is not None else find(environ, env_prefix) if search else None
    assignments: list[_Assignment] = []
    if file is not None:
        written = read(file)
        assignments += [_Assignment(at, value, str(file), written.line_of(at)) for at, value in _leaves(written.data)]
    assignments += _from_environment(model, env_prefix, environ)
    assignments += [
        _Assignment(tuple(key.split(".")), value, f"flag --{key.replace('.', '-').replace('_', '-')}")
        for key, value in (flags or {}).items()
        if value is not None
    ]
    try:
        settings = model.model_validate(_merged(assignments))
    except ValidationError as error:
        raise _refusal(problems(error, model), assignments) from error
    sources = {dotted(at): _source(at, assignments).source for at, _ in _leaves(settings.model_dump())}
    return Loaded(settings, sources, file)


def find(environ: Mapping[str, str] = os.environ, env_prefix: str = ENV_PREFIX) -> FilePath | None:
    """The configuration file that is read when none is named; None when there is none."""
    named = environ.get(f"{env_prefix}CONFIG")
    if named:
        return FilePath(named)
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/nonexistent"), ".config")
    places = ("minicri.toml", os.path.join(home, "minicri", "config.toml"), "/etc/minicri/config.toml")
    return next((FilePath(place) for place in places if os.path.isfile(place)), None)


def _from_environment(model: type[BaseModel], prefix: str, environ: Mapping[str, str]) -> list[_Assignment]:
    found: list[_Assignment] = []
    for name, text in environ.items():
        if not name.startswith(prefix) or name == f"{prefix}CONFIG":
            continue
        path: Path = tuple(name.removeprefix(prefix).lower().split("__"))
        value: object = text
        if is_structured(model, path):
            try:
                value = json.loads(text)
            except ValueError as error:
                raise InvalidArgument(f"environment {name}: {dotted(path)} takes JSON, a list or a table") from error
        found.append(_Assignment(path, value, f"environment {name}"))
    # What goes deeper refines what was set as a whole.
    return sorted(found, key=lambda one: len(one.path))


def _leaves(table: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _merged(assignments: list[_Assignment]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for one in assignments:
        table = merged
        for part in map(str, one.path[:-1]):
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[str(one.path[-1])] = one.value
    return merged


def _source(path: Path, assignments: list[_Assignment]) -> _Assignment:
    """Who had the last word about ``path``, or about what it stands in, or about something in it."""
    for one in reversed(assignments):
        shorter = min(len(one.path), len(path))
        if one.path[:shorter] == path[:shorter]:
            return one
    return _Assignment(path, None, DEFAULT)


def _refusal(found: list[Problem], assignments: list[_Assignment]) -> InvalidArgument:
    lines = []
    for problem in found:
        said = _source(problem.path, assignments)
        lines.append(str(problem if said.source == DEFAULT else replace(problem, source=said.source, line=said.line)))
    return InvalidArgument("\n".join(lines))
