"""Walking a model by path: which keys it knows, what a field takes, and what a validation error means.

Pure; knows pydantic's models and none of ours. A field marked with ``Sections`` is a dict in which each key has a
model of its own, found by name when it is needed.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

Path: TypeAlias = tuple[str | int, ...]
Names: TypeAlias = Callable[[], Iterable[str]]

_MASK = "'**********'"


@dataclass(frozen=True, slots=True)
class Sections:
    """Marks ``dict[str, SomeModel]``: each key has its own model, from ``model_for``; ``names`` are the known keys."""

    names: Names
    model_for: Callable[[str], type[BaseModel]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._validated, handler(source))

    def _validated(self, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        known = set(self.names())
        sections: dict[str, object] = {}
        wrong: list[InitErrorDetails] = []
        for name, section in value.items():
            if name not in known:
                wrong.append(InitErrorDetails(type="extra_forbidden", loc=(name,), input=section))
                continue
            try:
                sections[name] = self.model_for(name).model_validate(section)
            except ValidationError as error:
                wrong.extend(_moved(name, error))
        if wrong:
            raise ValidationError.from_exception_data("sections", wrong)
        return sections


def _moved(name: str, error: ValidationError) -> Iterable[InitErrorDetails]:
    """The errors of one section, told from where its parent stands."""
    for one in error.errors(include_url=False):
        # A type and a text that are already final; the context of some errors cannot be handed over as it is.
        kind: Any = one["type"]
        if kind != "extra_forbidden" and kind != "missing":
            kind = PydanticCustomError(kind, "{text}", {"text": one["msg"]})
        yield InitErrorDetails(type=kind, loc=(name, *one["loc"]), input=one["input"])


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right: where it stands, and a sentence that says what is allowed.

    ``source`` is a file or whatever else said it; ``line`` and ``document`` are 0 where they mean nothing.
    """

    path: Path
    message: str
    source: str = ""
    line: int = 0
    document: int = 0

    def __str__(self) -> str:
        where = f"{self.source}{f':{self.line}' if self.line else ''}"
        number = f" document {self.document}" if self.document else ""
        return ": ".join(part for part in (f"{where}{number}", dotted(self.path), self.message) if part)


def dotted(path: Path) -> str:
    """``("network", "ports", 0)`` -> ``network.ports[0]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def problems(error: ValidationError, model: type[BaseModel], prefix: Path = ()) -> list[Problem]:
    """What pydantic found, as sentences that name the field, the value unless it is secret, and the way out.

    ``prefix`` is where ``model`` stands in what the reader wrote.
    """
    found = []
    for one in error.errors(include_url=False):
        path: Path = tuple(part for part in one["loc"] if part != "[key]")
        message = _sentence(model, path, one["type"], one["msg"], one["input"])
        found.append(Problem((*prefix, *path), message))
    return found


def _sentence(model: type[BaseModel], path: Path, kind: str, text: str, value: object) -> str:
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = sorted(known_keys(model, path[:-1]) or ())
        near = get_close_matches(str(path[-1]), known, n=1)
        return "unknown key" + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")
    if kind == "missing":
        return "is required"
    if value is None:
        return "is empty; give a value, or leave the key out"
    if kind == "string_pattern_mismatch":
        reason = f"must be {_description(model, path) or text}"
    else:
        reason = text.removeprefix("Value error, ").replace("Input should", "must").replace("Value should", "must")
    if isinstance(value, (Mapping, list, tuple, set, BaseModel)):
        return reason  # the whole may hold a secret further down
    return f"{_MASK if is_secret(model, path) else _shown(value)}: {reason}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _description(model: type[BaseModel], path: Path) -> str:
    """What the field at ``path``, or the nearest one around it, says of itself."""
    for length in range(len(path) - 1, -1, -1):
        for place in _places(model, path[:length]):
            if isinstance(place, type) and issubclass(place, BaseModel) and path[length] in place.model_fields:
                field = place.model_fields[str(path[length])]
                return field.description or _inner_description(field.annotation)
    return ""


def _inner_description(annotation: object) -> str:
    for part in get_args(annotation):
        if found := (part.description if isinstance(part, FieldInfo) else _inner_description(part)):
            return str(found)
    return ""


def known_keys(model: type[BaseModel], path: Path) -> list[str] | None:
    """The keys that may stand at ``path``; None where any may, or where nothing like ``path`` exists."""
    for place in _places(model, path):
        if isinstance(place, Sections):
            return list(place.names())
        if isinstance(place, type) and issubclass(place, BaseModel):
            return list(place.model_fields)
    return None


def is_secret(model: type[BaseModel], path: Path) -> bool:
    """Whether what stands at ``path`` must never be shown."""
    return any(place in (SecretStr, SecretBytes) for place in _places(model, path))


def is_structured(model: type[BaseModel], path: Path) -> bool:
    """Whether ``path`` takes a list or a table only, so that text for it has to be JSON."""
    places = _places(model, path)
    return bool(places) and all(_is_structure(place) for place in places)


def _is_structure(place: object) -> bool:
    if isinstance(place, Sections) or (get_origin(place) or place) in (list, tuple, set, frozenset, dict):
        return True
    return isinstance(place, type) and issubclass(place, BaseModel)


def _places(model: type[BaseModel], path: Path) -> list[object]:
    """What may stand at ``path``: the members of its type once unions and annotations are taken apart."""
    places: list[object] = [model]
    for part in path:
        places = [inner for place in places for inner in _inside(place, part)]
    return places


def _inside(place: object, part: str | int) -> list[object]:
    if isinstance(place, Sections):
        return [place.model_for(str(part))] if str(part) in set(place.names()) else []
    if isinstance(place, type) and issubclass(place, BaseModel):
        field = place.model_fields.get(str(part))
        if field is None:
            return []
        sections = [mark for mark in field.metadata if isinstance(mark, Sections)]
        return list(sections) or _members(field.annotation)
    origin, arguments = get_origin(place), get_args(place)
    if origin is dict:
        return _members(arguments[1])
    if origin in (list, tuple, set, frozenset) and arguments:
        return _members(arguments[0])
    return []


def _members(annotation: object) -> list[object]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [inner for part in get_args(annotation) if part is not type(None) for inner in _members(part)]
    return [annotation]
