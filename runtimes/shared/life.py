"""What is known of one container or sandbox, for its events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cri.v1 import api_pb2 as v1
from runtimes.shared import labels
from runtimes.shared.lifecycle import Phase
from runtimes.shared.log_place import log_path
from runtimes.shared.records import Records, labels_of


class Look(NamedTuple):
    """What a look at the engine shows; times in nanoseconds, 0 for what has not happened."""

    phase: Phase
    status: v1.PodSandboxStatus | v1.ContainerStatus
    started_ns: int
    finished_ns: int


class End(NamedTuple):
    """What is known of the end of a container's process without a look; the time in nanoseconds since the epoch."""

    exit_code: int
    at_ns: int
    reason: str


def told_end(code: str, at_ns: int) -> End | None:
    """The end that an engine tells of, with the exit code in digits; None where it tells no code."""
    return End(int(code), at_ns, "Error" if int(code) else "Completed") if code.isdecimal() else None


def unseen_end(at_ns: int) -> End:
    """CRI: of a process that vanished unseen, noticed at this time."""
    return End(255, at_ns, "Unknown")


@dataclass(slots=True)
class Life:
    """``phase`` is what was told, ``seen`` what was there at the last look. ``is_fresh``: nothing happened since.
    ``status`` is the last that was seen, at first what is known without a look. ``end`` is what the engine told of its
    last end, for one that is gone before a look shows it."""

    container_id: str
    sandbox_id: str
    status: v1.PodSandboxStatus | v1.ContainerStatus
    created_ns: int
    phase: Phase = Phase.ABSENT
    seen: Phase = Phase.ABSENT
    ran: bool = False
    is_fresh: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    stamped_ns: int = 0
    end: End | None = None

    @property
    def is_sandbox(self) -> bool:
        return self.container_id == self.sandbox_id

    def take_in(self, look: Look) -> None:
        """Note what it is now."""
        self.status = look.status
        self.seen = look.phase
        self.started_ns = look.started_ns
        self.finished_ns = look.finished_ns
        self.ran |= bool(look.started_ns)
        self.is_fresh = True

    def sandbox_status(self) -> v1.PodSandboxStatus:
        """Of a sandbox. One that ended is not ready."""
        assert isinstance(self.status, v1.PodSandboxStatus), "a container is no sandbox"
        known = v1.PodSandboxStatus()
        known.CopyFrom(self.status)
        if self.phase >= Phase.EXITED:
            known.state = v1.SANDBOX_NOTREADY
        return known

    def container_status(self) -> v1.ContainerStatus:
        """Of a container. One that has ended says how, though no look has shown it."""
        assert isinstance(self.status, v1.ContainerStatus), "a sandbox is no container"
        if self.end is None or self.phase < Phase.EXITED or self.status.state == v1.CONTAINER_EXITED:
            return self.status
        known = v1.ContainerStatus()
        known.CopyFrom(self.status)
        known.state = v1.CONTAINER_EXITED
        known.finished_at = max(self.end.at_ns, known.started_at, known.created_at)
        known.exit_code, known.reason = self.end.exit_code, self.end.reason
        return known

    def stamp(self, kind: v1.ContainerEventType, now_ns: int) -> int:
        """When an event of this kind happened, in nanoseconds; never before the one before it."""
        known = {
            v1.CONTAINER_CREATED_EVENT: self.created_ns,
            v1.CONTAINER_STARTED_EVENT: self.started_ns,
            v1.CONTAINER_STOPPED_EVENT: self.finished_ns or (self.end.at_ns if self.end else 0),
        }
        self.stamped_ns = max(self.stamped_ns, known.get(kind) or now_ns)
        return self.stamped_ns


def life_of(found: Mapping[str, Any], records: Records) -> Life | None:
    """What is known at first of a container as listed, inspected or told of; None for one that is not ours."""
    container_id, created_ns = str(found["Id"]), labels.created_ns(labels_of(found))
    sandbox = records.sandboxes.get(found)
    if sandbox is not None:
        return Life(container_id, container_id, _sandbox(container_id, sandbox, created_ns), created_ns)
    container = records.containers.get(found)
    if container is not None:
        status = _container(container_id, container, created_ns)
        return Life(container_id, container.pod_sandbox_id, status, created_ns)
    return None


def _sandbox(sandbox_id: str, record: v1.RunPodSandboxRequest, created_ns: int) -> v1.PodSandboxStatus:
    """What can be said of a sandbox that was gone before anybody looked."""
    return v1.PodSandboxStatus(
        id=sandbox_id,
        metadata=record.config.metadata,
        state=v1.SANDBOX_NOTREADY,
        created_at=created_ns,
        labels=record.config.labels,
        annotations=record.config.annotations,
        runtime_handler=record.runtime_handler,
    )


def _container(container_id: str, record: v1.CreateContainerRequest, created_ns: int) -> v1.ContainerStatus:
    """What can be said of a container that was gone before anybody looked."""
    return v1.ContainerStatus(
        id=container_id,
        metadata=record.config.metadata,
        state=v1.CONTAINER_UNKNOWN,
        created_at=created_ns,
        image=record.config.image,
        labels=record.config.labels,
        annotations=record.config.annotations,
        mounts=record.config.mounts,
        log_path=log_path(record),
    )
