"""The log files of containers. Podman's monitor, which outlives its service and ours, writes them, in CRI's format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cri.errors import Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman.engine import Engine
from runtimes.shared import monitor_log
from runtimes.shared.log_place import log_path


def log_configuration(record: v1.CreateContainerRequest) -> dict[str, Any]:
    """What libpod's spec of a container says of its log; empty for one without. Pure."""
    path = log_path(record)
    # A size would have the monitor throw away what is older; rotating is the business of CRI's client.
    return {"driver": "k8s-file", "path": path, "size": -1} if path else {}


class LogFiles:
    """Their making and reopening."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self, record: v1.CreateContainerRequest) -> None:
        """See ``monitor_log.prepare``."""
        if self._engine.is_local:
            monitor_log.prepare(record)

    async def reopen(self, found: Mapping[str, Any], record: v1.CreateContainerRequest) -> None:
        """See ``monitor_log.reopen``, of an inspected container that runs. Raises Unimplemented where the monitor is
        not on this host."""
        if log_path(record) and not self._engine.is_local:
            raise Unimplemented(f"the log of container {found['Id']} is written on another host")
        monitor = found["State"].get("ConmonPid") or 0
        control = Path(found.get("OCIConfigPath") or "/").with_name("ctl")
        await monitor_log.reopen(found["Id"], record, monitor, control)
