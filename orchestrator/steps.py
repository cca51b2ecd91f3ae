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


@dataclass(frozen=True, slots=True)
class Health:
    """What its probes say of a container. ``failed`` says why it cannot go on; empty: it can."""

    ready: bool
    failed: str = ""
    said: str = ""
    """Why it is not ready."""


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
    name: str = ""
    """Which container of the task it is."""
    pre_stop: tuple[str, ...] = ()
    health: Health | None = None
    hooked: bool = False
    """Its post_start hook has run since this look began."""
    resized: bool = False
    """Its limits were changed since this look began."""
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What there is of one task, found by label. ``images`` are those of its images that are there; ``pulled``, those
    that were pulled since this look began. ``unmet`` is what of its dependencies it waits for, for a person."""

    sandboxes: tuple[SeenSandbox, ...] = ()
    containers: tuple[SeenContainer, ...] = ()
    images: frozenset[str] = frozenset()
    pulled: frozenset[str] = frozenset()
    unmet: str = ""


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
    """The container of the task that has this name."""

    sandbox_id: str
    attempt: int
    name: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    container_id: str


@dataclass(frozen=True, slots=True)
class RunHook:
    """The post_start hook of a container that has been started."""

    container_id: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdateResources:
    """Give a container that runs the limits that its spec now has."""

    container_id: str
    name: str


@dataclass(frozen=True, slots=True)
class StopContainers:
    """All at once; ``grace`` is in seconds."""

    container_ids: tuple[str, ...]
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
    """Something to be written down before the next step; the state stays."""

    changes: Mapping[str, Any]


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


Effect = (
    PullImage
    | RunSandbox
    | CreateContainer
    | StartContainer
    | RunHook
    | UpdateResources
    | StopContainers
    | RemoveContainer
    | RemoveSandbox
)
Action = Effect | Wait | Settled | Forget
Step = Action | Record | Remember

STARTING = (PullImage, RunSandbox, CreateContainer, StartContainer, RunHook)
"""The steps on the way up: when one of these cannot succeed, the attempt has failed."""
