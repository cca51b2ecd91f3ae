"""Performing one step on a runtime, and what is then there. Decides nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from orchestrator.pods import container_config, image_spec, log_directory, sandbox_config
from orchestrator.steps import (
    CreateContainer,
    Effect,
    Observed,
    Phase,
    PullImage,
    RemoveContainer,
    RemoveSandbox,
    RunSandbox,
    SeenContainer,
    SeenSandbox,
    StartContainer,
    StopContainer,
)
from orchestrator.task import Task


@dataclass(frozen=True, slots=True)
class Performer:
    """Carries out steps for one instance; ``state_dir`` is where the logs go."""

    runtime: Runtime
    instance: str
    state_dir: Path

    async def perform(self, step: Effect, task: Task | None, seen: Observed) -> Observed | None:
        """Do it. What is there afterwards, as far as the runtime's answer says; None: look again."""
        match step:
            case StopContainer():
                request = v1.StopContainerRequest(container_id=step.container_id, timeout=math.ceil(step.grace))
                await self.runtime.stop_container(request)
                return None
            case RemoveContainer():
                await self.runtime.remove_container(v1.RemoveContainerRequest(container_id=step.container_id))
                return replace(seen, containers=tuple(c for c in seen.containers if c.id != step.container_id))
            case RemoveSandbox():
                await self.runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=step.sandbox_id))
                await self.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=step.sandbox_id))
                return replace(
                    seen,
                    sandboxes=tuple(s for s in seen.sandboxes if s.id != step.sandbox_id),
                    containers=tuple(c for c in seen.containers if c.sandbox_id != step.sandbox_id),
                )
        if task is None:
            raise AssertionError(f"{step} needs a task")
        match step:
            case PullImage():
                sandbox = sandbox_config(task, self.instance, self.state_dir, task.attempt)
                await self.runtime.pull_image(v1.PullImageRequest(image=image_spec(task), sandbox_config=sandbox))
                return replace(seen, image=True, pulled=True)
            case RunSandbox():
                return await self._run_sandbox(step, task, seen)
            case CreateContainer():
                return await self._create(step, task, seen)
            case StartContainer():
                await self.runtime.start_container(v1.StartContainerRequest(container_id=step.container_id))
                started = tuple(
                    replace(c, phase=Phase.RUNNING) if c.id == step.container_id else c for c in seen.containers
                )
                return replace(seen, containers=started)

    async def _run_sandbox(self, step: RunSandbox, task: Task, seen: Observed) -> Observed:
        log_directory(self.state_dir, task.uid).mkdir(mode=0o700, parents=True, exist_ok=True)
        config = sandbox_config(task, self.instance, self.state_dir, step.attempt)
        answer = await self.runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=config))
        made = SeenSandbox(id=answer.pod_sandbox_id, uid=task.uid, attempt=step.attempt, ready=True)
        return replace(seen, sandboxes=(*seen.sandboxes, made))

    async def _create(self, step: CreateContainer, task: Task, seen: Observed) -> Observed:
        home = next(sandbox for sandbox in seen.sandboxes if sandbox.id == step.sandbox_id)
        request = v1.CreateContainerRequest(
            pod_sandbox_id=step.sandbox_id,
            config=container_config(task, self.instance, step.attempt),
            sandbox_config=sandbox_config(task, self.instance, self.state_dir, home.attempt),
        )
        answer = await self.runtime.create_container(request)
        made = SeenContainer(
            id=answer.container_id,
            sandbox_id=step.sandbox_id,
            uid=task.uid,
            attempt=step.attempt,
            phase=Phase.CREATED,
        )
        return replace(seen, containers=(*seen.containers, made))
