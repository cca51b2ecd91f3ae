"""Task manifests in and out: YAML, JSON and TOML to ``TaskSpec`` and back, without loss and interchangeable.

A document is one task, a list of tasks, or a mapping whose only key ``task`` holds them (TOML's ``[[task]]``). YAML
takes several documents a file, and so does JSON, one value after another. ``kind: Task`` and ``apiVersion`` may be
written and mean nothing more than they say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from posixpath import isabs, join, normpath
from typing import Any

import tomli_w
import yaml
from pydantic import ValidationError

from orchestrator import shortforms
from orchestrator.documents import Document, Format, load
from orchestrator.problems import ManifestInvalid as ManifestInvalid
from orchestrator.problems import Path, Problem, explain, line_of, refuse
from orchestrator.spec import TaskSpec

API_VERSION = "minicri.io/v1"
_EXTENSIONS: dict[str, Format] = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}


def read(file: str) -> list[TaskSpec]:
    """The tasks in ``file``; ``-`` is standard input. Raises ManifestInvalid; OSError as the file gives it."""
    return parse(*load_text(file))


def load_text(file: str) -> tuple[str, Format, str, str]:
    """Text, format, name and folder of ``file``, as ``parse`` and the service's Submit take them."""
    try:
        if file == "-":
            text = sys.stdin.read()
            return text, guess_format(text), "<stdin>", str(FilePath.cwd())
        path = FilePath(file)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise refuse(
            [Problem(f"not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}", file)]
        ) from None
    return text, _EXTENSIONS.get(path.suffix.lower()) or guess_format(text), file, str(path.resolve().parent)


def guess_format(text: str) -> Format:
    """The format that ``text`` looks like: JSON by its first character, TOML by its first line, else YAML."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.startswith("[["):
        return "toml"
    if first.startswith(("{", "[")):
        return "json"
    key, equals, _ = first.partition("=")
    return "toml" if equals and ":" not in key else "yaml"


def parse(text: str, form: Format, source: str = "", directory: str = "") -> list[TaskSpec]:
    """The tasks in ``text``, in order. ``source`` names the file in messages; mounts from ``./…`` are taken from
    ``directory``. Raises ManifestInvalid with every problem there is."""
    specs: list[TaskSpec] = []
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for document in load(text, form, source):
        for path, data in _tasks(document):
            where = _Place(document, path, source)
            found = _spec(data, where, directory)
            if isinstance(found, list):
                problems += found
            elif found.name in places:
                problems.append(
                    where.problem(("name",), f"{found.name!r} is the name of another task: {places[found.name]}")
                )
            else:
                places[found.name] = str(where.problem((), "first here"))
                specs.append(found)
    if not specs and not problems:
        problems.append(Problem("has no task; a task needs at least name and image", source))
    if problems:
        raise refuse(problems)
    return specs


def export(specs: Sequence[TaskSpec], form: Format) -> str:
    """``specs`` as a manifest that ``parse`` reads back as the same specs. Defaults are left out."""
    tasks = [plain(spec) for spec in specs]
    if form == "toml":
        return tomli_w.dumps({"task": tasks})
    if form == "json":
        return json.dumps(tasks[0] if len(tasks) == 1 else tasks, indent=2, ensure_ascii=False) + "\n"
    return yaml.dump_all(tasks, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def schema() -> dict[str, Any]:
    """JSON Schema of a document, for editors."""
    task = TaskSpec.model_json_schema(ref_template="#/$defs/{model}")
    definitions = task.pop("$defs", {})
    task["properties"] = {"apiVersion": {"const": API_VERSION}, "kind": {"const": "Task"}, **task["properties"]}
    several = {"type": "array", "items": {"$ref": "#/$defs/TaskSpec"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "minicri manifest",
        "anyOf": [
            {"$ref": "#/$defs/TaskSpec"},
            several,
            {"type": "object", "properties": {"task": several}, "required": ["task"], "additionalProperties": False},
        ],
        "$defs": {**definitions, "TaskSpec": task},
    }


class _Dumper(yaml.SafeDumper):
    """Writes scripts as blocks, and quotes the line breaks that readers of YAML would fold."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    lines = text.split("\n")
    style = None
    if any(mark in text for mark in "\r\x85\u2028\u2029\ufeff"):
        style = '"'
    elif len(lines) > 1 and text[:1].isalnum() and all(line.isprintable() and line == line.rstrip() for line in lines):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


class _Place:
    """Where a task was found, to say so."""

    def __init__(self, document: Document, path: Path, source: str) -> None:
        self.document = document
        self.path = path
        self.source = source

    def problem(self, path: Path, message: str) -> Problem:
        full = (*self.path, *path)
        return Problem(message, self.source, self.document.number, line_of(full, self.document.lines), full)


def _tasks(document: Document) -> Iterator[tuple[Path, Any]]:
    data: Any = document.data
    path: Path = ()
    if isinstance(data, dict) and set(data) == {"task"}:
        data, path = data["task"], ("task",)
    if isinstance(data, list):
        yield from (((*path, at), item) for at, item in enumerate(data))
    elif data != {}:
        yield path, data


def _spec(data: Any, where: _Place, directory: str) -> TaskSpec | list[Problem]:
    if not isinstance(data, dict):
        return [where.problem((), f"a task is a mapping with name and image, not {data!r:.60}")]
    data = dict(data)
    kind, version = data.pop("kind", "Task"), data.pop("apiVersion", API_VERSION)
    if kind != "Task":
        return [where.problem(("kind",), f"{kind!r} is not supported; the only kind is 'Task'")]
    problems = (
        [] if version == API_VERSION else [where.problem(("apiVersion",), f"{version!r} must be {API_VERSION!r}")]
    )
    _place_mounts(data, where, directory, problems)
    try:
        spec = TaskSpec.model_validate(data)
    except ValidationError as error:
        return problems + [where.problem(path, text) for path, text in explain(TaskSpec, error)]
    return problems or spec


def _place_mounts(data: dict[str, Any], where: _Place, directory: str, problems: list[Problem]) -> None:
    """Makes sources such as ``./site`` absolute. One that leaves the folder is refused: a file from somewhere else
    should not reach what lies beside it without saying so in full."""
    mounts = data.get("mounts")
    if not isinstance(mounts, list):
        return
    data["mounts"] = placed = list(mounts)
    for at, item in enumerate(mounts):
        try:
            mount = shortforms.mount(item)
        except ValueError:
            continue
        source = mount.get("source") if isinstance(mount, dict) else None
        if not isinstance(source, str) or not source or isabs(source):
            continue
        inside = normpath(source)
        if inside.startswith(".."):
            problems.append(
                where.problem(("mounts", at), f"{source!r} leaves the file's folder: write the absolute path")
            )
        elif not source.startswith("./") and source != ".":
            problems.append(
                where.problem(("mounts", at), f"{source!r}: write an absolute path, or ./… for this folder")
            )
        elif not directory:
            problems.append(
                where.problem(("mounts", at), f"{source!r}: no folder is known here; write an absolute path")
            )
        placed[at] = {**mount, "source": normpath(join(directory or "/", inside))}


def plain(spec: TaskSpec) -> dict[str, Any]:
    """``spec`` as the data that a manifest would have; defaults are left out."""
    data: dict[str, Any] = spec.model_dump(mode="json", exclude_defaults=True)
    if memory := data.get("resources", {}).get("memory"):
        data["resources"]["memory"] = shortforms.format_memory(memory)
    whole: dict[str, Any] = _whole_numbers(data)
    return whole


def _whole_numbers(value: Any) -> Any:
    """Floats such as 10.0 as 10: nobody writes a grace of 10.0 seconds."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
