"""What the engine says of a container, as CRI's messages. Pure."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.docker.records import labels_of
from runtimes.shared import labels

_STATES = {
    "created": v1.CONTAINER_CREATED,
    "running": v1.CONTAINER_RUNNING,
    "paused": v1.CONTAINER_RUNNING,
    "restarting": v1.CONTAINER_RUNNING,
    "removing": v1.CONTAINER_EXITED,
    "exited": v1.CONTAINER_EXITED,
    "dead": v1.CONTAINER_EXITED,
}


def state(found: Mapping[str, Any]) -> v1.ContainerState:
    """The state of a container as listed or inspected."""
    known = found["State"]
    word = known["Status"] if isinstance(known, dict) else known
    return _STATES.get(word, v1.CONTAINER_UNKNOWN)


def item(found: Mapping[str, Any], record: v1.CreateContainerRequest) -> v1.Container:
    """A row of ListContainers."""
    return v1.Container(
        id=found["Id"],
        pod_sandbox_id=record.pod_sandbox_id,
        metadata=record.config.metadata,
        image=record.config.image,
        image_ref=found["ImageID"],
        image_id=found["ImageID"],
        state=state(found),
        created_at=labels.created_ns(labels_of(found)),
        labels=record.config.labels,
        annotations=record.config.annotations,
    )


def status(found: Mapping[str, Any], record: v1.CreateContainerRequest) -> v1.ContainerStatus:
    """ContainerStatus of an inspected container."""
    config = record.config
    known = found["State"]
    answer = v1.ContainerStatus(
        id=found["Id"],
        metadata=config.metadata,
        state=state(found),
        created_at=labels.created_ns(labels_of(found)),
        image=config.image,
        image_ref=found["Image"],
        image_id=found["Image"],
        labels=config.labels,
        annotations=config.annotations,
        mounts=config.mounts,
        stop_signal=config.stop_signal,
    )
    if config.log_path:
        answer.log_path = f"{record.sandbox_config.log_directory}/{config.log_path}"
    if answer.state != v1.CONTAINER_CREATED:
        answer.started_at = nanoseconds(known["StartedAt"])
    if answer.state == v1.CONTAINER_EXITED:
        answer.finished_at = nanoseconds(known["FinishedAt"])
        answer.exit_code = known["ExitCode"]
        answer.reason = reason(known)
        answer.message = known.get("Error") or ""
    return answer


def reason(known: Mapping[str, Any]) -> str:
    """CRI's word for how a container ended."""
    if known.get("OOMKilled"):
        return "OOMKilled"
    return "Error" if known["ExitCode"] else "Completed"


def nanoseconds(text: str) -> int:
    """``2026-11-24T05:18:10.123456789Z`` -> nanoseconds since the epoch; Docker's year 1 ("never") -> 0."""
    if text.startswith("0001-"):
        return 0
    seconds, _, fraction = text.rstrip("Z").partition(".")
    whole = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
    return whole * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
