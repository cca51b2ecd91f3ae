"""What stands in the labels of our sandboxes and containers, parsed once: a record never changes after its making."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from google.protobuf.json_format import ParseError

from cri.v1 import api_pb2 as v1
from runtimes.shared import labels

LIMIT = 4096
"""Records kept. More containers than that are parsed again at each listing."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class _Cache(Generic[T]):
    def __init__(self, kind: str, parse: Callable[[Mapping[str, str]], T]) -> None:
        self._kind = kind
        self._parse = parse
        self._known: OrderedDict[str, T] = OrderedDict()

    def get(self, found: Mapping[str, Any]) -> T | None:
        """The record of a container as listed or inspected; None when it is not one of ours, of this kind."""
        container_id = str(found["Id"])
        known = self._known.get(container_id)
        if known is not None:
            return known
        its_labels = labels_of(found)
        # An image committed from one of our containers hands its labels on to strangers; the name it does not.
        if its_labels.get(labels.KIND) != self._kind or not _is_named_by_us(found):
            return None
        try:
            record = self._parse(its_labels)
        except ParseError:
            _log.warning("container %s has a damaged label %s and is ignored", container_id, labels.SPEC)
            return None
        self._known[container_id] = record
        if len(self._known) > LIMIT:
            self._known.popitem(last=False)
        return record

    def forget(self, container_id: str) -> None:
        self._known.pop(container_id, None)


class Records:
    """The requests that made our sandboxes and containers. The messages are shared: nobody may change them."""

    def __init__(self) -> None:
        self.sandboxes: _Cache[v1.RunPodSandboxRequest] = _Cache(labels.SANDBOX, labels.sandbox_spec)
        self.containers: _Cache[v1.CreateContainerRequest] = _Cache(labels.CONTAINER, labels.container_spec)

    def forget(self, container_id: str) -> None:
        """It is gone, whichever it was."""
        self.sandboxes.forget(container_id)
        self.containers.forget(container_id)


def labels_of(found: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of a container or pod as listed (top level) or inspected (a container's are in its Config)."""
    its_labels: Mapping[str, str] | None = found["Config"]["Labels"] if "Config" in found else found.get("Labels")
    return its_labels or {}


def _is_named_by_us(found: Mapping[str, Any]) -> bool:
    names = [found["Name"]] if "Name" in found else found.get("Names") or []
    return any(str(name).removeprefix("/").startswith("minicri_") for name in names)
