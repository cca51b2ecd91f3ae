"""Walking a settings model by path: which keys it knows, what a field takes, and what a validation error means.

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
    """One thing that is wrong: where, and a sentence that says what is allowed."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


def dotted(path: Path) -> str:
    """``("tls", "cert")`` -> ``tls.cert``."""
    return ".".join(str(part) for part in path)


def problems(error: ValidationError, model: type[BaseModel], prefix: Path = ()) -> list[Problem]:
    """What pydantic found, as sentences that name the field, the value unless it is secret, and the way out.

    ``prefix`` is where ``model`` stands in the configuration that the reader knows.
    """
    return [
        Problem((*prefix, *one["loc"]), _sentence(model, one["loc"], one["type"], one["msg"], one["input"]))
        for one in error.errors(include_url=False)
    ]


def _sentence(model: type[BaseModel], path: Path, kind: str, message: str, value: object) -> str:
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = sorted(known_keys(model, path[:-1]) or ())
        near = get_close_matches(str(path[-1]), known, n=1)
        return "unknown key" + (f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(known)}")
    if kind == "missing":
        return "is required"
    allowed = message.removeprefix("Value error, ")
    if allowed.startswith("Input should be "):
        allowed = "must be " + allowed.removeprefix("Input should be ")
    return f"{allowed} (got {_shown(model, path, value)})"


def _shown(model: type[BaseModel], path: Path, value: object) -> str:
    if is_secret(model, path):
        return _MASK
    if isinstance(value, (Mapping, list, tuple, set, BaseModel)):
        return f"a {type(value).__name__}"  # it may hold a secret further down
    return repr(value)


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
