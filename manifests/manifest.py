"""Task manifests in and out: YAML, JSON and TOML to ``TaskSpec`` and back, without loss and interchangeable.

A document is one task, a list of tasks, or a mapping whose only key ``task`` holds them (TOML's ``[[task]]``). YAML
takes several documents a file, and so does JSON, one value after another. ``kind: Task`` and ``apiVersion`` may be
written and mean nothing more than they say. Pods and Deployments of Kubernetes' are taken as well (``kubernetes``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from posixpath import isabs, join, normpath
from typing import Any

import tomli_w
import yaml
from pydantic import ValidationError

from cri.documents import EXTENSIONS, Document, Format, Unreadable, load, not_text
from cri.errors import InvalidArgument
from cri.fields import Path, Problem, dotted, problems
from manifests import shortforms
from manifests.kubernetes import KINDS, translate
from manifests.spec import TaskSpec

API_VERSION = "minicri.io/v1"


class ManifestInvalid(InvalidArgument):
    """A manifest that cannot be taken. The message has one line for each problem; nothing of it was applied."""

    reason = "MANIFEST_INVALID"


def _refusal(*found: Problem) -> ManifestInvalid:
    return ManifestInvalid("\n".join(map(str, found)))


def read(file: str, warnings: list[str] | None = None) -> list[TaskSpec]:
    """The tasks in ``file``; ``-`` is standard input. Raises ManifestInvalid; OSError as the file gives it."""
    return parse(*load_text(file), warnings)


def load_text(file: str) -> tuple[str, Format, str, str]:
    """Text, format, name and folder of ``file``, as ``parse`` and the service's Submit take them."""
    try:
        if file == "-":
            text = sys.stdin.read()
            return text, guess_format(text), "<stdin>", str(FilePath.cwd())
        path = FilePath(file)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(Problem((), not_text(error), file)) from None
    return text, EXTENSIONS.get(path.suffix.lower()) or guess_format(text), file, str(path.resolve().parent)


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


def parse(
    text: str, form: Format, source: str = "manifest", directory: str = "", warnings: list[str] | None = None
) -> list[TaskSpec]:
    """The tasks in ``text``, in order. ``source`` names the file in messages; mounts from ``./…`` are taken from
    ``directory``. Where ``warnings`` is given, what Kubernetes has and no task is left out and told there, else it is
    a problem. Raises ManifestInvalid with every problem there is."""
    specs: list[TaskSpec] = []
    wrong: list[Problem] = []
    places: dict[str, str] = {}
    try:
        documents = load(text, form)
    except Unreadable as error:
        raise _refusal(error.problem(source)) from None
    for document in documents:
        for path, data in _tasks(document):
            where = _Place(document, path, source, warnings)
            found = _spec(data, where, directory)
            if isinstance(found, list):
                wrong += found
            elif found.name in places:
                wrong.append(
                    where.problem(("name",), f"{found.name!r} is the name of another task: {places[found.name]}")
                )
            else:
                places[found.name] = str(where.problem((), "first here"))
                specs.append(found)
    if not specs and not wrong:
        wrong.append(Problem((), "has no task; a task needs at least name and image", source))
    if wrong:
        raise _refusal(*wrong)
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

    def __init__(self, document: Document, path: Path, source: str, warnings: list[str] | None) -> None:
        self.document = document
        self.path = path
        self.source = source
        self.warnings = warnings
        self.moved: Mapping[Path, Path] = {}
        """Where parts of the task stand in a document of another kind."""

    def problem(self, path: Path, message: str) -> Problem:
        if (start := next((path[:at] for at in range(len(path), -1, -1) if path[:at] in self.moved), None)) is not None:
            rest = dotted(path[len(start) :])
            path, message = self.moved[start], f"{rest}: {message}" if rest else message
        full = (*self.path, *path)
        return Problem(full, message, self.source, self.document.line_of(full), self.document.number)


def _tasks(document: Document) -> Iterator[tuple[Path, Any]]:
    data: Any = document.data
    path: Path = ()
    if isinstance(data, dict) and set(data) == {"task"}:
        data, path = data["task"], ("task",)
    if isinstance(data, dict) and data.get("kind") == "List":
        data, path = data.get("items"), ("items",)
    if isinstance(data, list):
        yield from (((*path, at), item) for at, item in enumerate(data))
    elif data != {}:
        yield path, data


def _spec(data: Any, where: _Place, directory: str) -> TaskSpec | list[Problem]:
    if not isinstance(data, dict):
        return [where.problem((), f"a task is a mapping with name and image, not {data!r:.60}")]
    data = dict(data)
    kind, version = data.pop("kind", "Task"), data.pop("apiVersion", API_VERSION)
    kinds = {"Task": API_VERSION, **KINDS}
    if kind not in kinds:
        return _left_out(where, [(("kind",), f"{kind!r} is not supported; supported are {', '.join(kinds)}")])
    wrong: list[Problem] = []
    if version != kinds[kind]:
        wrong.append(where.problem(("apiVersion",), f"{version!r} must be {kinds[kind]!r}"))
    if kind in KINDS:
        found = translate(kind, data)
        wrong += [where.problem(path, text) for path, text in found.wrong]
        wrong += _left_out(where, found.unsupported)
        data, where.moved = found.task, found.places
    data = _place(data, (), lambda source, path: _absolute(source, where, path, directory, wrong))
    try:
        spec = TaskSpec.model_validate(data)
    except ValidationError as error:
        return wrong + [where.problem(one.path, one.message) for one in problems(error, TaskSpec)]
    return wrong or spec


def _left_out(where: _Place, unsupported: Iterable[tuple[Path, str]]) -> list[Problem]:
    """What cannot be had, as problems, or as warnings where they are wanted."""
    told = [where.problem(path, text) for path, text in unsupported]
    if where.warnings is None:
        return told
    where.warnings += map(str, told)
    return []


def _place(data: Any, path: Path, absolute: Callable[[Any, Path], Any]) -> Any:
    """``data`` of a container, or of a task with its containers, with every path made ``absolute``."""
    if not isinstance(data, dict):
        return data
    data = dict(data)
    for key in ("init", "containers", "mounts"):
        if isinstance(items := data.get(key), list):
            place = _place_mount if key == "mounts" else _place
            data[key] = [place(item, (*path, key, at), absolute) for at, item in enumerate(items)]
    if isinstance(files := data.get("env_files"), list):
        data["env_files"] = [absolute(file, (*path, "env_files", at)) for at, file in enumerate(files)]
    if isinstance(secrets := data.get("secrets"), dict):
        data["secrets"] = {
            name: {**one, "file": absolute(one["file"], (*path, "secrets", name))}
            if isinstance(one, dict) and "file" in one
            else one
            for name, one in secrets.items()
        }
    return data


def _place_mount(data: Any, path: Path, absolute: Callable[[Any, Path], Any]) -> Any:
    try:
        mount = shortforms.mount(data)
    except ValueError:
        return data  # the model says what is wrong
    return (
        {**mount, "source": absolute(mount["source"], path)} if isinstance(mount, dict) and "source" in mount else data
    )


def _absolute(source: Any, where: _Place, path: Path, directory: str, wrong: list[Problem]) -> Any:
    """A path such as ``./site`` as an absolute one. One that leaves the folder is refused: a file from somewhere else
    should not reach what lies beside it without saying so in full."""
    if not isinstance(source, str) or not source or isabs(source):
        return source
    inside = normpath(source)
    if inside.startswith(".."):
        wrong.append(where.problem(path, f"{source!r} leaves the file's folder: write the absolute path"))
    elif not source.startswith("./") and source != ".":
        wrong.append(where.problem(path, f"{source!r}: write an absolute path, or ./… for this folder"))
    elif not directory:
        wrong.append(where.problem(path, f"{source!r}: no folder is known here; write an absolute path"))
    return normpath(join(directory or "/", inside))


def plain(spec: TaskSpec) -> dict[str, Any]:
    """``spec`` as the data that a manifest would have; defaults are left out."""
    data: dict[str, Any] = spec.model_dump(mode="json", exclude_defaults=True)
    for container in (data, *data.get("init", ()), *data.get("containers", ())):
        if memory := container.get("resources", {}).get("memory"):
            container["resources"]["memory"] = shortforms.format_memory(memory)
    whole: dict[str, Any] = _whole_numbers(data)
    return whole


def _whole_numbers(value: Any) -> Any:
    """Floats such as 10.0 as 10: nobody writes a grace of 10.0 seconds."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
