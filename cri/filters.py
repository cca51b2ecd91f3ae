"""Which items a CRI filter selects, and in which order lists answer. Pure; every backend uses these.

CRI's rules: the parts of a filter are ANDed; an id may be a prefix as long as only one item has it; labels must be
equal, all of them; no match is an empty list; an absent filter selects everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from cri.v1 import api_pb2 as v1

T = TypeVar("T")


def _by_id(items: Iterable[T], wanted: str, id_of: Callable[[T], str]) -> list[T]:
    """The item whose id is ``wanted``, or the only one whose id starts with it."""
    found = [item for item in items if id_of(item).startswith(wanted)]
    exact = [item for item in found if id_of(item) == wanted]
    if exact:
        return exact
    return found if len(found) == 1 else []


def labels_match(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Every pair of ``selector`` stands in ``labels``."""
    return all(labels.get(key) == value for key, value in selector.items())


def sandboxes(items: Iterable[v1.PodSandbox], wanted: v1.PodSandboxFilter) -> list[v1.PodSandbox]:
    """What ListPodSandbox answers: the selected sandboxes, newest first."""
    found = _by_id(items, wanted.id, lambda item: item.id) if wanted.id else list(items)
    if wanted.HasField("state"):
        found = [item for item in found if item.state == wanted.state.state]
    found = [item for item in found if labels_match(wanted.label_selector, item.labels)]
    return sorted(found, key=lambda item: (-item.created_at, item.id))


def containers(items: Iterable[v1.Container], wanted: v1.ContainerFilter) -> list[v1.Container]:
    """What ListContainers answers: the selected containers, newest first."""
    found = list(items)
    if wanted.pod_sandbox_id:
        owners = {item.pod_sandbox_id for item in found if item.pod_sandbox_id.startswith(wanted.pod_sandbox_id)}
        owner = wanted.pod_sandbox_id if wanted.pod_sandbox_id in owners or len(owners) != 1 else owners.pop()
        found = [item for item in found if item.pod_sandbox_id == owner]
    if wanted.id:
        found = _by_id(found, wanted.id, lambda item: item.id)
    if wanted.HasField("state"):
        found = [item for item in found if item.state == wanted.state.state]
    found = [item for item in found if labels_match(wanted.label_selector, item.labels)]
    return sorted(found, key=lambda item: (-item.created_at, item.id))


def container_filter(wanted: v1.ContainerStatsFilter) -> v1.ContainerFilter:
    """The containers that a stats filter speaks of; stats are of running containers only."""
    return v1.ContainerFilter(
        id=wanted.id,
        pod_sandbox_id=wanted.pod_sandbox_id,
        label_selector=wanted.label_selector,
        state=v1.ContainerStateValue(state=v1.CONTAINER_RUNNING),
    )


def sandbox_filter(wanted: v1.PodSandboxStatsFilter) -> v1.PodSandboxFilter:
    """The sandboxes that a stats filter speaks of; stats are of ready sandboxes only."""
    return v1.PodSandboxFilter(
        id=wanted.id,
        label_selector=wanted.label_selector,
        state=v1.PodSandboxStateValue(state=v1.SANDBOX_READY),
    )
