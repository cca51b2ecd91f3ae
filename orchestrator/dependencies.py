"""What a task waits for: which of its dependencies are not yet as it asks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from manifests.spec import TaskSpec
from orchestrator.task import State, Task

_MET: Mapping[str, Callable[[Task], bool]] = {
    "started": lambda task: task.state in (State.RUNNING, State.COMPLETED),
    "ready": lambda task: task.state is State.RUNNING and task.ready,
    "completed": lambda task: task.state is State.COMPLETED and task.exit_code == 0,
}


def unmet(spec: TaskSpec, declared: Mapping[str, Sequence[Task]]) -> str:
    """What ``spec`` still waits for, for a person; empty: nothing. ``declared`` are the known tasks by the name under
    which they were declared: with replicas, all of them are waited for."""
    late = {name: _late(condition, declared.get(name, ())) for name, condition in spec.depends_on.items()}
    return ", ".join(f"{name} to be {spec.depends_on[name]} ({why})" for name, why in late.items() if why)


def _late(condition: str, tasks: Sequence[Task]) -> str:
    tasks = [task for task in tasks if not task.forget]
    replicas = max((task.spec.replicas or 1 for task in tasks), default=0)
    if len(tasks) < replicas or not tasks:
        return f"{len(tasks)} of {replicas} are known" if tasks else "no such task is known"
    late = [task for task in tasks if not _MET[condition](task)]
    return ", ".join(f"{task.id} is {_stand(task)}" for task in late)


def _stand(task: Task) -> str:
    if task.state is State.RUNNING:
        return "not ready" if not task.ready else "Running"
    return f"{task.state}{f', {task.reason}' if task.reason else ''}"
