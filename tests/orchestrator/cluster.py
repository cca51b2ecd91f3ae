"""``Cluster``: the tasks of one declared name without any runtime, and a check of each step of its rollout."""

from __future__ import annotations

from dataclasses import replace

from manifests.changes import same_container
from manifests.spec import TaskSpec
from orchestrator.declaration import Declaration, Progress, declare
from orchestrator.heuristic import accept
from orchestrator.rollout import is_up, plan
from orchestrator.task import Item, State, Task

BAD = "broken"
"""An image that never comes up."""


class Cluster:
    """The tasks of one name, and a hand that brings them up, takes them down and asks for the next step."""

    def __init__(self, first: TaskSpec) -> None:
        self.now = 1000.0
        self.tasks: dict[str, Task] = {}
        self.declared: Declaration = self._declare(None, first)
        self.settle()

    def _declare(self, known: Declaration | None, wanted: TaskSpec) -> Declaration:
        return declare(known, wanted, actor="test", cause="apply", now=self.now)

    def apply(self, wanted: TaskSpec) -> None:
        self.declared = self._declare(self.declared, wanted)

    @property
    def up(self) -> set[str]:
        return {task.id for task in self.tasks.values() if is_up(task, self.now)}

    @property
    def staying(self) -> list[Task]:
        return [task for task in self.tasks.values() if not task.forget]

    def progress(self) -> Progress:
        return self.declared.progress

    def step(self) -> int:
        """Plan once and put the items through; how many there were."""
        before, up = list(self.staying), self.up
        planned = plan(self.declared, list(self.tasks.values()), self.now)
        self.declared = planned.declared
        self._check(planned.items, before, up)
        for item in planned.items:
            verdict = accept(item, self.tasks.get(item.task_id), now=self.now, uid="u")
            assert verdict.accepted
            assert verdict.task is not None
            self.tasks[item.task_id] = verdict.task
        return len(planned.items)

    def _check(self, items: tuple[Item, ...], before: list[Task], up: set[str]) -> None:
        wanted = self.declared.spec
        surge, unavailable = wanted.leeway
        asked = len(wanted.task_ids)
        felled = [
            item.task_id
            for item in items
            if item.task_id in up
            and (item.spec is None or not same_container(self.tasks[item.task_id].spec, item.spec))
        ]
        assert len(felled) <= max(0, len(up) - (asked - unavailable))
        new = [item for item in items if item.spec and item.task_id not in {task.id for task in before}]
        gone = [item for item in items if item.spec is None]
        assert len(before) + len(new) - len(gone) <= max(len(before), asked + surge)

    def bring_up(self, task_id: str) -> None:
        """What the worker makes of a task: it runs, it fails, or it vanishes."""
        task = self.tasks[task_id]
        if task.forget:
            del self.tasks[task_id]
        elif task.state is State.SCHEDULED and task.spec.image == BAD:
            self.tasks[task_id] = replace(task, state=State.FAILED, desired=State.FAILED)
        elif task.state is State.SCHEDULED:
            self.tasks[task_id] = replace(task, state=State.RUNNING, started_at=self.now, ready=True)

    def crash(self, task_id: str) -> None:
        if self.tasks[task_id].state is State.RUNNING:
            self.tasks[task_id] = replace(self.tasks[task_id], state=State.SCHEDULED)

    def settle(self) -> None:
        """Let everything happen that is to happen, one thing after the other."""
        for _ in range(1000):
            moving = [one.id for one in self.tasks.values() if one.forget or one.state is State.SCHEDULED]
            if not self.step() and not moving:
                return
            if moving:
                self.bring_up(moving[0])
        raise AssertionError(f"no end of it: {self.declared}, {self.tasks}")
