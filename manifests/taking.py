"""Taking a document of Kubernetes' apart, field by field, so that nothing in it is passed over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cri.fields import Path


@dataclass
class Translated:
    """``task`` is what a manifest would say. The rest are paths in the document with a sentence each: what is
    ``wrong``, and what is ``unsupported``. ``places`` says where in the document each container of the task stands."""

    task: dict[str, Any] = field(default_factory=dict)
    wrong: list[tuple[Path, str]] = field(default_factory=list)
    unsupported: list[tuple[Path, str]] = field(default_factory=list)
    places: dict[Path, Path] = field(default_factory=dict)


class Fields:
    """A mapping of the document whose keys are taken one by one; what is left over in the end is not supported."""

    def __init__(self, data: Any, path: Path, found: Translated) -> None:
        if not isinstance(data, Mapping):
            found.wrong.append((path, f"{data!r:.60}: must be a mapping"))
            data = {}
        self._left = {key: value for key, value in data.items() if value is not None}
        self.path = path
        self.found = found

    def __enter__(self) -> Fields:
        return self

    def __exit__(self, *error: object) -> None:
        for key in self._left:
            self.refuse(key)

    def refuse(self, key: str, why: str = "is not supported") -> None:
        self.found.unsupported.append(((*self.path, key), why))

    def take(self, key: str) -> Any:
        return self._left.pop(key, None)

    def skip(self, *keys: str) -> None:
        for key in keys:
            self._left.pop(key, None)

    def accept(self, key: str, *values: str) -> None:
        """Pass over a field that says what is so anyway."""
        if str(self._left.get(key)).lower() in [value.lower() for value in values]:
            del self._left[key]

    def flag(self, key: str) -> bool:
        return str(self.take(key)).lower() == "true"

    def whole(self, key: str, default: int) -> int:
        value = self.take(key)
        if re.fullmatch(r"\d+", str(value)):
            return int(value)
        if value is not None:
            self.found.wrong.append(((*self.path, key), f"{value!r}: must be a whole number"))
        return default

    def word(self, key: str, words: Mapping[str, str], default: str) -> str:
        value = self.take(key)
        if value is not None and value not in words:
            self.found.wrong.append(((*self.path, key), f"{value!r}: must be {' or '.join(words)}"))
        return words.get(value, default)

    def has(self, key: str) -> bool:
        return key in self._left

    def refused(self, key: str) -> bool:
        """Whether there is such a field, which then counts as refused: nothing else of this mapping is taken."""
        if key in self._left:
            self._left = {key: self._left[key]}
        return key in self._left

    def command(self) -> Any:
        with self:
            return self.take("command")

    def inside(self, key: str) -> Fields:
        value = self._left.pop(key, None)
        return Fields({} if value is None else value, (*self.path, key), self.found)

    def each(self, key: str) -> Iterator[Fields]:
        values = self._left.pop(key, None) or []
        if not isinstance(values, list):
            self.found.wrong.append(((*self.path, key), f"{values!r:.60}: must be a list"))
            return
        for at, value in enumerate(values):
            with Fields(value, (*self.path, key, at), self.found) as fields:
                yield fields
