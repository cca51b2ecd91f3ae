"""What the engine says of a container, as CRI's messages. Pure."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.podman import resources
from runtimes.shared import image_status, labels, signals
from runtimes.shared.log_place import log_path
from runtimes.shared.records import labels_of

KILLED = 137
"""Exit code of a process that SIGKILL ended."""

START_FAILED = 128
"""Exit code of a failed start that the engine has none for."""

_STATES = {
    "created": v1.CONTAINER_CREATED,
    "configured": v1.CONTAINER_CREATED,
    "initialized": v1.CONTAINER_CREATED,
    "running": v1.CONTAINER_RUNNING,
    "paused": v1.CONTAINER_RUNNING,
    "stopping": v1.CONTAINER_RUNNING,
    "stopped": v1.CONTAINER_EXITED,
    "exited": v1.CONTAINER_EXITED,
    "removing": v1.CONTAINER_EXITED,
}


def state(found: Mapping[str, Any]) -> v1.ContainerState:
    """The state of a container as listed or inspected. Only a look inside (``failed_to_start``) tells that one which
    the engine calls created will never run."""
    known = found["State"]
    if isinstance(known, dict):
        return v1.CONTAINER_EXITED if failed_to_start(known) else _STATES.get(known["Status"], v1.CONTAINER_UNKNOWN)
    return _STATES.get(known, v1.CONTAINER_UNKNOWN)


def failed_to_start(known: Mapping[str, Any]) -> bool:
    """Whether the ``State`` of an inspected container says that its start failed. CRI: it counts as ended."""
    return _STATES.get(known["Status"]) == v1.CONTAINER_CREATED and bool(known.get("Error"))


def item(found: Mapping[str, Any], record: v1.CreateContainerRequest) -> v1.Container:
    """A row of ListContainers."""
    return v1.Container(
        id=found["Id"],
        pod_sandbox_id=record.pod_sandbox_id,
        metadata=record.config.metadata,
        image=record.config.image,
        image_ref=image_status.image_id(found["ImageID"]),
        image_id=image_status.image_id(found["ImageID"]),
        state=state(found),
        created_at=labels.created_ns(labels_of(found)),
        labels=record.config.labels,
        annotations=record.config.annotations,
    )


def status(found: Mapping[str, Any], record: v1.CreateContainerRequest) -> v1.ContainerStatus:
    """ContainerStatus of an inspected container, completed by ``Ends``."""
    config = record.config
    known = found["State"]
    answer = v1.ContainerStatus(
        id=found["Id"],
        metadata=config.metadata,
        state=state(found),
        created_at=labels.created_ns(labels_of(found)),
        image=config.image,
        image_ref=image_status.image_id(found["Image"]),
        image_id=image_status.image_id(found["Image"]),
        labels=config.labels,
        annotations=config.annotations,
        mounts=config.mounts,
        stop_signal=signals.cri_signal(found["Config"].get("StopSignal")),
        log_path=log_path(record),
        resources=resources.status(found.get("HostConfig") or {}),
        user=user(found),
    )
    if answer.state != v1.CONTAINER_CREATED:
        answer.started_at = nanoseconds(known["StartedAt"])
    if answer.state == v1.CONTAINER_EXITED:
        # The engine notes no end for a failed start, and one a little before the start for a very short run.
        answer.finished_at = max(nanoseconds(known["FinishedAt"]), answer.started_at, answer.created_at)
        answer.exit_code = known["ExitCode"] or (START_FAILED if failed_to_start(known) else 0)
        answer.reason = reason(known)
        answer.message = known.get("Error") or ""
    return answer


def user(found: Mapping[str, Any]) -> v1.ContainerUser | None:
    """Whom its first process began as. Ours are made with numbers; anything else is not guessed at."""
    uid, _, gid = str(found["Config"].get("User") or "").partition(":")
    if not uid.isdecimal() or not gid.isdecimal():
        return None
    added = (found.get("HostConfig") or {}).get("GroupAdd") or ()
    groups = [int(gid), *(int(group) for group in added)]
    return v1.ContainerUser(linux=v1.LinuxContainerUser(uid=int(uid), gid=int(gid), supplemental_groups=groups))


def reason(known: Mapping[str, Any]) -> str:
    """CRI's word for how a container ended."""
    code = known["ExitCode"]
    if failed_to_start(known):
        return "StartError"
    if known.get("OOMKilled") and code == KILLED:
        return "OOMKilled"
    if known.get("Vanished"):
        return "Unknown"
    return "Error" if code else "Completed"


def nanoseconds(text: str) -> int:
    """``2026-11-24T05:18:10.123456789Z``, or with ``+01:00`` -> nanoseconds since the epoch; Go's year 1 ("never")
    -> 0."""
    if text.startswith("0001-"):
        return 0
    whole, rest = text[:19], text[19:]
    zone = rest.lstrip(".0123456789")
    fraction = rest.removesuffix(zone).lstrip(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    if zone not in ("Z", ""):
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds += -offset if zone[0] == "+" else offset
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
