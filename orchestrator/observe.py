"""Asking a runtime what there is of our tasks, found by label; what carries another instance's label is not seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from cri.errors import NotFound
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from orchestrator.pods import ATTEMPT, INSTANCE, TASK, UID, image_spec
from orchestrator.steps import Observed, Phase, SeenContainer, SeenSandbox
from orchestrator.task import State, Task

_PHASES = {
    v1.CONTAINER_CREATED: Phase.CREATED,
    v1.CONTAINER_RUNNING: Phase.RUNNING,
    v1.CONTAINER_EXITED: Phase.EXITED,
    v1.CONTAINER_UNKNOWN: Phase.EXITED,
}
_Found = TypeVar("_Found", v1.PodSandbox, v1.Container)
_LOST_EXIT_CODE = 255
"""What a container that the runtime has lost sight of is taken to have ended with."""


async def observe(runtime: Runtime, instance: str, task_id: str, known: Task | None) -> Observed:
    """What there is of one task, with exit codes and, where it matters for the next step, its image."""
    seen = (await _list(runtime, {INSTANCE: instance, TASK: task_id})).get(task_id, Observed())
    detailed = [await _detail(runtime, container) for container in seen.containers]
    image = (
        known is not None
        and known.state is State.SCHEDULED
        and known.desired is State.RUNNING
        and await has_image(runtime, known)
    )
    return replace(seen, containers=tuple(one for one in detailed if one is not None), image=image)


async def observe_all(runtime: Runtime, instance: str) -> Mapping[str, Observed]:
    """What there is of every task, by task id: enough to see whether something is to be done, not more."""
    return await _list(runtime, {INSTANCE: instance})


async def has_image(runtime: Runtime, task: Task) -> bool:
    answer = await runtime.image_status(v1.ImageStatusRequest(image=image_spec(task)))
    return answer.HasField("image")


async def _list(runtime: Runtime, labels: Mapping[str, str]) -> Mapping[str, Observed]:
    # Containers first: one that is made in between then has its sandbox in the later list.
    containers = await runtime.list_containers(
        v1.ListContainersRequest(filter=v1.ContainerFilter(label_selector=labels))
    )
    sandboxes = await runtime.list_pod_sandbox(
        v1.ListPodSandboxRequest(filter=v1.PodSandboxFilter(label_selector=labels))
    )
    boxes = _by_task(sandboxes.items)
    inside = _by_task(containers.containers)
    return {
        task_id: Observed(
            sandboxes=tuple(_sandbox(one) for one in boxes.get(task_id, ())),
            containers=tuple(_container(one) for one in inside.get(task_id, ())),
        )
        for task_id in boxes.keys() | inside.keys()
    }


def _by_task(found: Iterable[_Found]) -> Mapping[str, list[_Found]]:
    sorted_out: defaultdict[str, list[_Found]] = defaultdict(list)
    for one in found:
        if task_id := one.labels.get(TASK):
            sorted_out[task_id].append(one)
    return sorted_out


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
    )


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
