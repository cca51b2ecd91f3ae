"""What the runtime says of a task (``Observed``) and what may be done next (``Step``): plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.task import State


class Phase(StrEnum):
    """Where a container stands. One that the runtime has lost sight of counts as exited."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSandbox:
    id: str
    uid: str
    attempt: int
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenContainer:
    """A container as found. Times in seconds since the epoch, None for not yet."""

    id: str
    sandbox_id: str
    uid: str
    attempt: int
    phase: Phase
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What there is of one task, found by label. ``image`` is whether its image is there; ``pulled``, whether it was
    pulled since this look began."""

    sandboxes: tuple[SeenSandbox, ...] = ()
    containers: tuple[SeenContainer, ...] = ()
    image: bool = False
    pulled: bool = False


# --- the steps -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PullImage:
    image: str
    platform: str


@dataclass(frozen=True, slots=True)
class RunSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class CreateContainer:
    sandbox_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StartContainer:
    container_id: str


@dataclass(frozen=True, slots=True)
class StopContainer:
    container_id: str
    grace: float


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    container_id: str


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    """With every container in it."""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """The runtime has got somewhere: write it down."""

    to: State
    cause: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Remember:
    """Which container is about to be started, and where; the state stays."""

    sandbox_id: str
    container_id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before ``until``."""

    until: float


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do until something happens. ``swept``: and nothing of the task is left."""

    swept: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing is left of it, and nobody wants the record."""


Effect = PullImage | RunSandbox | CreateContainer | StartContainer | StopContainer | RemoveContainer | RemoveSandbox
Action = Effect | Wait | Settled | Forget
Step = Action | Record | Remember

STARTING = (PullImage, RunSandbox, CreateContainer, StartContainer)
"""The steps on the way up: when one of these cannot succeed, the attempt has failed."""
