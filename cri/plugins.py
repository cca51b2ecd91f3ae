"""The plug-in point: a backend by name, through the entry-point group ``cri.runtimes``.

An entry point names an instance of a ``Backend``. Loading it must be cheap: the engine's SDK is imported inside
``probe`` and ``open``, not at the top of the module the entry point names. A third-party package adds a backend by
declaring the same entry point; nothing here has a list of names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from cri.errors import InvalidArgument
from cri.runtime import Runtime

GROUP = "cri.runtimes"


class BackendConfig(BaseModel):
    """What a backend may be told, from the section ``runtimes.NAME`` of the configuration. Frozen; no extras."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=BackendConfig)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at the engine found. ``detail`` is one line: where it answers, or why it cannot be used."""

    available: bool
    detail: str
    version: str = ""
    api: str = ""
    features: dict[str, bool] = field(default_factory=dict)


class Backend(ABC, Generic[C]):
    """One way to run containers. ``auto_rank`` orders ``auto``: lower is tried first, ``None`` never."""

    name: ClassVar[str]
    auto_rank: ClassVar[int | None] = None
    config: type[C]

    @abstractmethod
    async def probe(self, config: C) -> Probe:
        """Look, quickly and without side effects, whether the engine answers. Never raises for an absent engine."""

    @abstractmethod
    async def open(self, config: C) -> Runtime:
        """A runtime over the engine; its ``aclose`` frees all it holds. Raises Unavailable when nothing answers."""


def names() -> list[str]:
    """The names of every installed backend, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def find(name: str) -> Backend[Any]:
    """The backend called ``name``. Raises InvalidArgument, with the nearest name, when none is."""
    points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        near = get_close_matches(name, points, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidArgument(f"runtime {name!r} is not installed{hint} Installed: {', '.join(sorted(points))}")
    loaded = points[name].load()
    if not isinstance(loaded, Backend):
        raise InvalidArgument(f"entry point {points[name].value!r} of runtime {name!r} is not a cri.plugins.Backend")
    return loaded
