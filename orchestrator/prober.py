"""``Prober``: asks the containers of tasks that run how they are, and has a task looked at again when the verdict
changes. It changes nothing itself; what it found is part of what is observed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import replace

from cri import probing
from cri.errors import CRIError, FailedPrecondition, NotFound, Unavailable
from cri.runtime import Runtime
from cri.streaming.transport import cancel
from manifests.container import Container
from manifests.probes import Probe, Tally, judge
from orchestrator.measure import Measure
from orchestrator.steps import Health, Observed
from orchestrator.task import State, Task

_log = logging.getLogger(__name__)

Look = Callable[[str, str], Awaitable[None]]
"""Has a task, by its id, looked at again, for a reason."""
Secrets = Callable[[Task], Awaitable[Collection[str]]]
"""What no answer about a task may show."""


class Prober:
    """For one runtime."""

    def __init__(
        self, runtime: Runtime, look: Look, measure: Measure | None = None, secrets: Secrets | None = None
    ) -> None:
        self._runtime = runtime
        self._measure = measure or Measure()
        self._look = look
        self._secrets = secrets
        self._health: dict[str, Health] = {}
        self._jobs: dict[str, tuple[Task, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def mind(self, task_id: str, task: Task | None) -> None:
        """Probe the task as its record now says, or no longer."""
        wanted = task if task is not None and _is_to_be_probed(task) else None
        before, job = self._jobs.get(task_id, (None, None))
        if before is not None and job is not None and not _same_attempt(before, wanted):
            del self._jobs[task_id]
            self._ending.add(job)
            job.cancel()
            for each in before.containers.values():
                self._health.pop(each, None)
        if wanted is not None and task_id not in self._jobs:
            job = asyncio.create_task(self._probe(wanted), name=f"probes of {task_id}")
            job.add_done_callback(self._ending.discard)
            self._jobs[task_id] = wanted, job

    def health(self, seen: Observed) -> Observed:
        """``seen`` with what is known of its containers' health."""
        if not any(each.id in self._health for each in seen.containers):
            return seen
        return replace(seen, containers=tuple(replace(one, health=self._health.get(one.id)) for one in seen.containers))

    async def aclose(self) -> None:
        """Ask no more."""
        await cancel(*(job for _, job in self._jobs.values()), *self._ending)

    # --- one task -------------------------------------------------------------------------------------------

    async def _probe(self, task: Task) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for container in _probed(task):
                    group.create_task(self._container(task, container))
        except Exception:  # noqa: BLE001 - logged; a task without probes is still a task
            _log.exception("the probes of task %s ended in a way that they may not", task.id)

    async def _container(self, task: Task, container: Container) -> None:
        probes = container.probes
        if probes.startup is not None:
            async with aclosing(self._verdicts(task, container, "startup", task.ready or None)) as verdicts:
                passing, said = await anext(verdicts)
            if not passing:
                await self._publish(task, container, Health(False, failed=f"startup probe failed: {said}"))
                return
            if probes.readiness is None:
                await self._publish(task, container, Health(True))
        async with asyncio.TaskGroup() as group:
            if probes.readiness is not None:
                group.create_task(self._readiness(task, container))
            if probes.liveness is not None:
                group.create_task(self._liveness(task, container))

    async def _readiness(self, task: Task, container: Container) -> None:
        async with aclosing(self._verdicts(task, container, "readiness", task.ready)) as verdicts:
            async for passing, said in verdicts:
                await self._publish(task, container, Health(passing, said=f"readiness probe failed: {said}"))

    async def _liveness(self, task: Task, container: Container) -> None:
        async with aclosing(self._verdicts(task, container, "liveness", True)) as verdicts:
            _, said = await anext(verdicts)
        await self._publish(task, container, Health(False, failed=f"liveness probe failed: {said}"))

    async def _publish(self, task: Task, container: Container, health: Health) -> None:
        self._health[task.containers[container.name]] = health
        says = "is ready" if health.ready else health.failed or health.said
        try:
            await self._look(task.id, f"container {container.name!r}: {says}")
        except CRIError:
            _log.exception("the queue cannot be written; the next relist sees the same")

    async def _verdicts(
        self, task: Task, container: Container, kind: str, passing: bool | None
    ) -> AsyncGenerator[tuple[bool, str]]:
        """Each change of the verdict, which is ``passing`` at first, and what the last answer was."""
        probe: Probe = getattr(container.probes, kind)
        tally = Tally(passing)
        # In the host's network the sandbox may have no address of its own.
        question = probe.question("127.0.0.1" if task.spec.network.mode == "host" else "")
        ids = {"container_id": task.containers[container.name], "sandbox_id": task.sandbox_id}
        hidden = await self._secrets(task) if self._secrets is not None else ()
        await asyncio.sleep(probe.initial_delay)
        while True:
            try:
                said = await probing.ask(self._runtime, question, probe.timeout, **ids, hidden=hidden)
            except (Unavailable, NotFound, FailedPrecondition):
                said = None  # the runtime, or the end of the container, is not the container's answer
            if said is not None:
                self._measure.probed(kind, not said)
                before, tally = tally, judge(probe, tally, not said)
                if tally.passing is not None and tally.passing is not before.passing:
                    yield tally.passing, said
            await asyncio.sleep(probe.period)


def _probed(task: Task) -> list[Container]:
    return [one for one in task.spec.everyone if one.name in task.containers and any(one.probes)]


def _same_attempt(one: Task, other: Task | None) -> bool:
    return other is not None and (one.uid, one.attempt) == (other.uid, other.attempt)


def _is_to_be_probed(task: Task) -> bool:
    return task.state is State.RUNNING and task.desired is State.RUNNING and bool(_probed(task))
