"""``Orchestrator``: worker and control loop over one store and one runtime, and what a user may ask of them.

No wish is carried out here: a method puts an item on the queue and waits for what the worker makes of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from cri.progress import Listener
from cri.runtime import Runtime
from orchestrator.spec import TaskSpec
from orchestrator.store import Store
from orchestrator.task import Event, State, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How worker and loop go about it. Times in seconds."""

    steps: int = 16
    """How many calls to the runtime are under way at once, pulls apart."""
    pulls: int = 4
    """How many images are pulled at once."""
    relist: float = 10.0
    """How often everything is looked at again, events or not."""
    retry_backoff: float = 0.5
    """Wait after a call that failed but may succeed later; doubled each time."""
    retry_max: float = 10.0
    """The longest such wait."""
    step_timeout: float = 120.0
    """How long one call to the runtime may take; a stop gets its grace on top, a pull has no limit."""
    drain: float = 10.0
    """How long calls under way may go on when the orchestrator is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of one submitted task. ``removed`` is a replica that the spec no longer asks for."""

    task_id: str
    change: Literal["created", "changed", "unchanged", "removed", "rejected"]
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """All there is to say about one task, for a person who asks why."""

    task: Task
    why: str
    """One sentence: where it stands, why, and what comes next."""
    events: Sequence[Event]
    """The newest lines of its history, oldest first."""


class Orchestrator:
    """Tasks on one runtime, remembered in one store. ``async with`` starts and stops it; containers stay."""

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        *,
        state_dir: Path,
        settings: Settings | None = None,
        on_pull: Listener | None = None,
    ) -> None:
        """``state_dir`` is where the logs go; ``on_pull`` hears of image pulls."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def submit(self, specs: Sequence[TaskSpec], *, actor: str) -> list[Submitted]:
        """Declare tasks: new ones start, changed ones restart with the new spec, unchanged ones are left alone.

        ``replicas`` makes ``name-0``, ``name-1``, …; replicas beyond that number are stopped and forgotten. Returns
        once every item was accepted or rejected, durably; not once it was carried out.
        """
        raise NotImplementedError

    async def put(
        self, task_id: str, state: State, *, forget: bool = False, actor: str, cause: str = ""
    ) -> Task | None:
        """Put a task in a state: Scheduled restarts, Completed stops (``forget``: and deletes), Running looks again
        and tries at once, Failed gives up.

        Returns the record once the wish was accepted (None: already forgotten). Raises NotFound for an unknown task
        and FailedPrecondition with the allowed states when the table refuses; the history has the refusal as well.
        """
        raise NotImplementedError

    async def get(self, task_id: str) -> Task:
        """The record of a task. Raises NotFound."""
        raise NotImplementedError

    async def list(
        self, *, labels: Mapping[str, str] | None = None, states: Collection[State] | None = None
    ) -> list[Task]:
        """The known tasks that have all ``labels`` and one of ``states``, by id."""
        raise NotImplementedError

    def watch(self, after: int = 0, *, task_id: str | None = None) -> AsyncIterator[Event]:
        """The history after line ``after`` and then each new line, without gap or repetition, until closed."""
        raise NotImplementedError

    async def history(self, after: int = 0, *, task_id: str | None = None, limit: int = 1000) -> Sequence[Event]:
        """Up to ``limit`` lines of history after line ``after``, oldest first."""
        raise NotImplementedError

    async def last_seq(self) -> int:
        """The number of the newest line of history: where to ``watch`` from to hear only what is new."""
        raise NotImplementedError

    async def wait(self, task_id: str, states: Collection[State]) -> Task | None:
        """Wait until the task is in one of ``states``; None when it was forgotten."""
        raise NotImplementedError

    async def wait_settled(self, task_ids: Collection[str]) -> dict[str, Task | None]:
        """Wait until each task has ended for good (Completed, or Failed without another try); None: forgotten."""
        raise NotImplementedError

    async def stop_all(self, *, forget: bool, actor: str) -> None:
        """Stop every task and wait until nothing of it is left; ``forget`` drops the records too."""
        raise NotImplementedError

    def logs(
        self, task_id: str, *, follow: bool = False, tail: int | None = None, since: float | None = None
    ) -> AsyncIterator[object]:
        """The task's output, as ``cri.logs`` lines, oldest first; ``follow`` goes on through restarts until the
        task has ended. Raises NotFound for an unknown task."""
        raise NotImplementedError

    async def container(self, task_id: str) -> str:
        """The id of the running container, for exec and attach. Raises NotFound, FailedPrecondition."""
        raise NotImplementedError

    async def describe(self, task_id: str) -> Description:
        """Why the task is where it is, what was tried, and when the next try is. Raises NotFound."""
        raise NotImplementedError
