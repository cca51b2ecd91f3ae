"""A container's record as CRI's messages. Pure."""

from __future__ import annotations

from cri.v1 import api_pb2 as v1
from runtimes.native.records import ContainerRecord, Phase
from runtimes.shared import signals
from runtimes.shared.log_place import log_path

VANISHED = 255
"""Exit code of a process whose end nobody saw."""

KILLED = 137
"""Exit code of a process that SIGKILL ended."""

START_FAILED = 128
"""Exit code of a failed start that there is no better one for."""

_STATES = {
    Phase.MAKING: v1.CONTAINER_CREATED,
    Phase.CREATED: v1.CONTAINER_CREATED,
    Phase.STARTING: v1.CONTAINER_CREATED,
    Phase.RUNNING: v1.CONTAINER_RUNNING,
}


def state(record: ContainerRecord) -> v1.ContainerState:
    return _STATES.get(record.phase, v1.CONTAINER_EXITED)


def item(record: ContainerRecord) -> v1.Container:
    """A row of ListContainers."""
    return v1.Container(
        id=record.id,
        pod_sandbox_id=record.sandbox_id,
        metadata=record.config.metadata,
        image=record.config.image,
        image_ref=record.image_id,
        image_id=record.image_id,
        state=state(record),
        created_at=record.created_ns,
        labels=record.config.labels,
        annotations=record.config.annotations,
    )


def status(record: ContainerRecord) -> v1.ContainerStatus:
    """ContainerStatus."""
    answer = v1.ContainerStatus(
        id=record.id,
        metadata=record.config.metadata,
        state=state(record),
        created_at=record.created_ns,
        image=record.config.image,
        image_ref=record.image_id,
        image_id=record.image_id,
        labels=record.config.labels,
        annotations=record.config.annotations,
        mounts=record.config.mounts,
        stop_signal=signals.cri_signal(record.stop_signal),
        log_path=log_path(record.request),
        resources=v1.ContainerResources(linux=v1.LinuxContainerResources.FromString(record.resources)),
        user=v1.ContainerUser(linux=v1.LinuxContainerUser.FromString(record.user)),
    )
    if answer.state != v1.CONTAINER_CREATED:
        answer.started_at = record.started_ns
    if answer.state == v1.CONTAINER_EXITED:
        answer.finished_at = max(record.finished_ns, record.started_ns, record.created_ns)
        answer.exit_code = record.exit_code
        answer.reason = record.reason
        answer.message = record.message
    return answer


def reason(code: int, *, out_of_memory: bool) -> str:
    """CRI's word for how a process ended that somebody saw end."""
    if out_of_memory and code == KILLED:
        return "OOMKilled"
    return "Error" if code else "Completed"
