"""What is between specs: what one changes of another, whether that needs a new container, and cycles. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from manifests.container import Container
from manifests.manifest import plain
from manifests.spec import TaskSpec


def differences(old: TaskSpec, new: TaskSpec) -> tuple[str, ...]:
    """What differs, a line each, such as ``image: 'busybox:1' -> 'busybox:2'``; but for the number of replicas, which
    is no one task's."""
    return _between(plain(old), plain(new))


def _between(old: Any, new: Any, path: str = "") -> tuple[str, ...]:
    if old == new or path == "replicas":
        return ()
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return (f"{path}: {'nothing' if old is None else repr(old)} -> {'nothing' if new is None else repr(new)}",)
    inside = ((f"{path}.{key}".lstrip("."), old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new]))
    return tuple(line for key, one, other in inside for line in _between(one, other, key))


def same_container(one: TaskSpec, other: TaskSpec) -> bool:
    """Whether what runs by ``one`` may go on running by ``other``: nothing differs that a container is made of, or
    only limits that can be changed while it runs."""
    changes: dict[str, Any] = {"replicas": other.replicas, "rollout": other.rollout}
    if len(one.containers) == len(other.containers):
        changes["containers"] = tuple(map(_resized, one.containers, other.containers))
    return one == other or _resized(one, other).model_copy(update=changes) == other


_C = TypeVar("_C", bound=Container)


def _resized(one: _C, other: _C) -> _C:
    """``one`` with the limits of ``other``, if they can be changed while it runs: a limit cannot be taken away."""
    before, after = one.resources, other.resources
    lost = (before.cpu and not after.cpu) or (before.memory and not after.memory) or before.pids != after.pids
    return one if lost else one.model_copy(update={"resources": after})


def cycle(specs: Iterable[TaskSpec]) -> str:
    """A cycle among the specs' dependencies, such as ``a -> b -> a``; empty when there is none."""
    try:
        TopologicalSorter({spec.name: spec.depends_on for spec in specs}).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""
