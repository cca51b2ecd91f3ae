"""Where CRI wants a container's log. Pure."""

from __future__ import annotations

from cri.v1 import api_pb2 as v1


def log_path(record: v1.CreateContainerRequest) -> str:
    """Where the container's log is on the host; empty for one without a log."""
    directory, path = record.sandbox_config.log_directory, record.config.log_path
    return f"{directory}/{path}" if directory and path else ""
