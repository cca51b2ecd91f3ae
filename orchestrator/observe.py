"""Asking a runtime what there is of our tasks, found by label; what carries another instance's label is not seen."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from cri.errors import NotFound
from cri.runtime import Runtime
from cri.streaming.transport import cancel
from cri.v1 import api_pb2 as v1
from manifests.cri_messages import image_spec
from orchestrator.pods import ATTEMPT, INSTANCE, PRE_STOP, TASK, UID
from orchestrator.steps import Observed, Phase, SeenContainer, SeenSandbox
from orchestrator.task import State, Task

_PHASES = {
    v1.CONTAINER_CREATED: Phase.CREATED,
    v1.CONTAINER_RUNNING: Phase.RUNNING,
    v1.CONTAINER_EXITED: Phase.EXITED,
    v1.CONTAINER_UNKNOWN: Phase.EXITED,
}
_Listing = asyncio.Task[Mapping[str, Observed]]
_LOST_EXIT_CODE = 255
"""What a container that the runtime has lost sight of is taken to have ended with."""
_REST = 0.1
"""Seconds before the next listing for each thousand tasks of one: so a start of ten thousand is not all listings."""


class Looker:
    """Looks at single tasks. Whoever asks while a listing is under way shares the next one: a runtime looks through
    everything for each listing, so a thousand tasks that each had their own would cost a million."""

    def __init__(self, runtime: Runtime, instance: str) -> None:
        self._runtime = runtime
        self._instance = instance
        self._asked: set[str] = set()
        self._coming: _Listing | None = None
        self._under_way: _Listing | None = None
        self._rested = 0.0

    async def look(self, task_id: str, known: Task | None) -> Observed:
        """What there is of one task, with exit codes and, where it matters for the next step, its images."""
        seen = await detailed(self._runtime, await self._list(task_id))
        starts = known is not None and known.state is State.SCHEDULED and known.desired is State.RUNNING
        images = await _images(self._runtime, known) if known is not None and starts else frozenset[str]()
        return replace(seen, images=images)

    async def aclose(self) -> None:
        """End what is under way for those who no longer wait."""
        await cancel(*(listing for listing in (self._coming, self._under_way) if listing is not None))

    async def _list(self, task_id: str) -> Observed:
        # A listing that has begun may have missed what the caller did just now; the next one cannot.
        self._asked.add(task_id)
        if self._coming is None:
            self._coming = asyncio.create_task(self._list_after(self._under_way), name="listing")
        return (await asyncio.shield(self._coming)).get(task_id, Observed())

    async def _list_after(self, before: _Listing | None) -> Mapping[str, Observed]:
        if before is not None:
            await asyncio.wait({before})
        if (rest := self._rested - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        self._under_way, self._coming = self._coming, None
        asked, self._asked = self._asked, set()
        only = {TASK: asked.pop()} if len(asked) == 1 else {}
        found = await observe_all(self._runtime, self._instance, **only)
        self._under_way = None  # who asked has it; ten thousand tasks weigh something
        self._rested = time.monotonic() + len(found) // 1000 * _REST
        return found


async def _images(runtime: Runtime, task: Task) -> frozenset[str]:
    """Which of its images are there."""
    wanted = {container.image: image_spec(container.image, task.spec.platform) for container in task.spec.everyone}
    found = {image: await runtime.image_status(v1.ImageStatusRequest(image=spec)) for image, spec in wanted.items()}
    return frozenset(image for image, answer in found.items() if answer.HasField("image"))


async def observe_all(runtime: Runtime, instance: str, **only: str) -> Mapping[str, Observed]:
    """What there is of every task, or ``only`` of some by their labels, by task id: enough to see whether something
    is to be done, not more."""
    labels = {INSTANCE: instance, **only}
    seen = defaultdict[str, tuple[list[SeenSandbox], list[SeenContainer]]](lambda: ([], []))
    # Containers first: one that is made in between then has its sandbox in the later list.
    of_containers = v1.ListContainersRequest(filter=v1.ContainerFilter(label_selector=labels))
    for container in (await runtime.list_containers(of_containers)).containers:
        seen[container.labels.get(TASK, "")][1].append(_container(container))
    of_sandboxes = v1.ListPodSandboxRequest(filter=v1.PodSandboxFilter(label_selector=labels))
    for sandbox in (await runtime.list_pod_sandbox(of_sandboxes)).items:
        seen[sandbox.labels.get(TASK, "")][0].append(_sandbox(sandbox))
    return {task_id: Observed(sandboxes=tuple(s), containers=tuple(c)) for task_id, (s, c) in seen.items() if task_id}


def _attempt(labels: Mapping[str, str]) -> int:
    number = labels.get(ATTEMPT, "")
    return int(number) if number.isdecimal() else -1


def _sandbox(found: v1.PodSandbox) -> SeenSandbox:
    return SeenSandbox(
        id=found.id,
        uid=found.labels.get(UID, ""),
        attempt=_attempt(found.labels),
        ready=found.state == v1.SANDBOX_READY,
    )


def _container(found: v1.Container) -> SeenContainer:
    return SeenContainer(
        id=found.id,
        sandbox_id=found.pod_sandbox_id,
        uid=found.labels.get(UID, ""),
        attempt=_attempt(found.labels),
        phase=_PHASES[found.state],
        name=found.metadata.name,
        pre_stop=tuple(json.loads(found.annotations[PRE_STOP])) if PRE_STOP in found.annotations else (),
    )


async def detailed(runtime: Runtime, seen: Observed) -> Observed:
    """``seen`` with the times and exit codes of its containers."""
    found = [await _detail(runtime, container) for container in seen.containers]
    return replace(seen, containers=tuple(one for one in found if one is not None))


async def _detail(runtime: Runtime, container: SeenContainer) -> SeenContainer | None:
    """With times and exit code; None when it vanished meanwhile."""
    try:
        answer = await runtime.container_status(v1.ContainerStatusRequest(container_id=container.id))
    except NotFound:
        return None
    status = answer.status
    exited = _PHASES[status.state] is Phase.EXITED
    lost = status.state == v1.CONTAINER_UNKNOWN
    return replace(
        container,
        phase=_PHASES[status.state],
        exit_code=(_LOST_EXIT_CODE if lost else status.exit_code) if exited else None,
        reason=("Unknown" if lost else status.reason) if exited else "",
        message=status.message,
        started_at=status.started_at / 1e9 if status.started_at else None,
        finished_at=status.finished_at / 1e9 if status.finished_at else None,
    )
