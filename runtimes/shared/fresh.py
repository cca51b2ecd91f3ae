"""Containers that this process makes or has just made: what an inspection would say of them is known without one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.shared import labels
from runtimes.shared.records import Records, labels_of

KEPT = 1024


class Fresh:
    """Each is known until it is started, the engine tells anything of it but that it was made, or may have told
    something unheard."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._making: dict[str, dict[str, Any]] = {}
        self._made: OrderedDict[str, dict[str, Any]] = OrderedDict()

    @contextmanager
    def making(self, name: str, found: dict[str, Any]) -> Iterator[None]:
        """While the engine makes it, and perhaps tells of it before it answers. ``found`` is what a look would show,
        less its id; it has our labels."""
        self._making[name] = found
        try:
            yield
        finally:
            del self._making[name]

    def add(self, container_id: str, found: dict[str, Any]) -> None:
        """It was made, and nobody else knows its id yet."""
        self._made[container_id] = found | {"Id": container_id}
        if len(self._made) > KEPT:
            self._made.popitem(last=False)

    def get(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest] | None:
        """What a look would show, and the record, of a container that was not started since it was made."""
        found = self._made.get(container_id)
        record = self._records.containers.get(found) if found is not None else None
        return (found, record) if found is not None and record is not None else None

    def told(
        self, container_id: str, name: str, its_labels: Mapping[str, str]
    ) -> tuple[dict[str, Any], v1.CreateContainerRequest] | None:
        """As ``get``, of one of which the engine tells that it was made; it may have been another process's doing."""
        found = self._made.get(container_id) or self._making.get(name)
        if found is None or labels_of(found).get(labels.CREATED_NS) != its_labels.get(labels.CREATED_NS):
            return None
        found = found | {"Id": container_id}
        record = self._records.containers.get(found)
        return (found, record) if record is not None else None

    def forget(self, container_id: str) -> None:
        """Something happened to it."""
        self._made.pop(container_id, None)

    def forget_all(self) -> None:
        """Something may have happened to any of them."""
        self._made.clear()
