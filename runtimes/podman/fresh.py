"""Containers that this process has just made: what an inspection would say of them is known without one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.podman import directories
from runtimes.podman.features import EngineFacts
from runtimes.shared.records import Records

KEPT = 1024


class Fresh:
    """Each is known until it is started, the engine tells anything of it, or may have told something unheard."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._made: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def add(self, container_id: str, name: str, its_labels: dict[str, str], facts: EngineFacts) -> None:
        """It was made, and nobody else knows its id yet."""
        self._made[container_id] = {
            "Id": container_id,
            "Name": name,
            "Config": {"Labels": its_labels},
            "State": {"Status": "created", "Running": False, "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"},
            "StaticDir": str(directories.lasting(facts, container_id)),
            "PidFile": str(directories.pid_file(facts, container_id)),
        }
        if len(self._made) > KEPT:
            self._made.popitem(last=False)

    def get(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest] | None:
        """What a look would show, and the record, of a container that was not started since it was made."""
        found = self._made.get(container_id)
        record = self._records.containers.get(found) if found is not None else None
        return (found, record) if found is not None and record is not None else None

    def forget(self, container_id: str) -> None:
        """Something happened to it."""
        self._made.pop(container_id, None)

    def forget_all(self) -> None:
        """Something may have happened to any of them."""
        self._made.clear()
