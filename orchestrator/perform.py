"""Performing one step on a runtime, and what is then there. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cri import credentials, probing
from cri.errors import Internal
from cri.runtime import Runtime
from cri.streaming.transport import cancel
from cri.v1 import api_pb2 as v1
from manifests.container import Container
from manifests.cri_messages import image_spec, resources
from manifests.environment import environment, secrets
from orchestrator import steps
from orchestrator.pods import container_config, log_directory, sandbox_config, volume_directory
from orchestrator.steps import Observed, Phase, SeenContainer, SeenSandbox
from orchestrator.task import Task

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Performer:
    """Carries out steps for one instance; ``state_dir`` is where the logs go. Once ``hurried`` is set, stops kill."""

    runtime: Runtime
    instance: str
    state_dir: Path
    hurried: asyncio.Event = field(default_factory=asyncio.Event)
    pull: Callable[[v1.PullImageRequest], Awaitable[object]] | None = None
    """In place of the runtime's own."""
    _secrets: dict[str, set[str]] = field(default_factory=dict)

    async def secrets(self, task: Task | None) -> Collection[str]:
        """What no message about the task may show: the values that its containers got as secrets, or, where another
        process made them, would get now."""
        if task is None:
            return ()
        if task.id not in self._secrets and any(container.secrets for container in task.spec.everyone):
            self._secrets[task.id] = await asyncio.to_thread(secrets, task.spec)
        return self._secrets.get(task.id, ())

    async def perform(self, step: steps.Effect, task: Task | None, seen: Observed) -> Observed | None:
        """Do it. What is there afterwards, as far as the runtime's answer says; None: look again."""
        if isinstance(step, steps.StopContainers | steps.RemoveContainer | steps.RemoveSandbox):
            return await self._take_away(step, task, seen)
        if task is None:
            raise AssertionError(f"{step} needs a task")
        match step:
            case steps.PullImage():
                sandbox = sandbox_config(task, self.instance, self.state_dir, task.attempt)
                auth = await asyncio.to_thread(credentials.find, step.image)
                image = image_spec(step.image, step.platform)
                request = v1.PullImageRequest(image=image, sandbox_config=sandbox, auth=auth)
                await (self.pull or self.runtime.pull_image)(request)
                return replace(seen, images=seen.images | {step.image}, pulled=seen.pulled | {step.image})
            case steps.RunSandbox():
                return await self._run_sandbox(step, task, seen)
            case steps.CreateContainer():
                return await self._create(step, task, seen)
            case steps.StartContainer():
                await self.runtime.start_container(v1.StartContainerRequest(container_id=step.container_id))
                return _with(seen, step.container_id, phase=Phase.RUNNING)
            case steps.RunHook():
                await self._run(task, step.container_id, step.command, 0)
                return _with(seen, step.container_id, hooked=True)
            case steps.UpdateResources():
                limits = resources(task.spec.container(step.name).resources)
                await self.runtime.update_container_resources(
                    v1.UpdateContainerResourcesRequest(container_id=step.container_id, linux=limits)
                )
                return _with(seen, step.container_id, resized=True)

    async def _take_away(
        self,
        step: steps.StopContainers | steps.RemoveContainer | steps.RemoveSandbox,
        task: Task | None,
        seen: Observed,
    ) -> Observed | None:
        match step:
            case steps.StopContainers():
                await self._stop(step, task, seen)
                return None
            case steps.RemoveContainer():
                await self.runtime.remove_container(v1.RemoveContainerRequest(container_id=step.container_id))
                return replace(seen, containers=tuple(c for c in seen.containers if c.id != step.container_id))
            case steps.RemoveSandbox():
                await self.runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=step.sandbox_id))
                await self.runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=step.sandbox_id))
                return replace(
                    seen,
                    sandboxes=tuple(s for s in seen.sandboxes if s.id != step.sandbox_id),
                    containers=tuple(c for c in seen.containers if c.sandbox_id != step.sandbox_id),
                )

    async def drop_files(self, task: Task) -> None:
        """Remove what the task wrote. What cannot be removed is the collector's to try again, and to tell of."""
        for folder in (log_directory(self.state_dir, task.uid), volume_directory(self.state_dir, task.uid)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        self._secrets.pop(task.id, None)

    async def _run(self, task: Task | None, container_id: str, command: Sequence[str], timeout: int) -> None:
        """A hook. Raises Internal where it fails."""
        hidden = await self.secrets(task)
        if wrong := await probing.run(self.runtime, container_id, command, timeout, hidden=hidden):
            raise Internal(f"hook {command[0]!r} {wrong}")

    async def _stop(self, step: steps.StopContainers, task: Task | None, seen: Observed) -> None:
        if self.hurried.is_set():
            await self._stop_within(step.container_ids, 0)
            return
        stopping = asyncio.create_task(self._stop_gently(step, task, seen))
        hurry = asyncio.create_task(self.hurried.wait())
        try:
            await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await self._stop_within(step.container_ids, 0)  # CRI: which shortens the wait of the call before it
            await stopping
        finally:
            await cancel(stopping, hurry)

    async def _stop_gently(self, step: steps.StopContainers, task: Task | None, seen: Observed) -> None:
        """With the pre_stop hooks, whose time is taken off the grace."""
        begun = time.monotonic()
        hooks = {each.id: each.pre_stop for each in seen.containers if each.pre_stop and each.id in step.container_ids}
        grace = math.ceil(step.grace)
        if hooks and grace:
            runs = (self._run(task, each, command, grace) for each, command in hooks.items())
            for failed in await asyncio.gather(*runs, return_exceptions=True):
                if isinstance(failed, BaseException):
                    _log.warning("a pre_stop hook failed, and its container is stopped all the same: %s", failed)
            grace = max(0, math.ceil(step.grace - (time.monotonic() - begun)))
        await self._stop_within(step.container_ids, grace)

    async def _stop_within(self, container_ids: Sequence[str], grace: int) -> None:
        requests = [v1.StopContainerRequest(container_id=each, timeout=grace) for each in container_ids]
        answers = await asyncio.gather(*map(self.runtime.stop_container, requests), return_exceptions=True)
        for error in (answer for answer in answers if isinstance(answer, BaseException)):
            raise error

    async def _run_sandbox(self, step: steps.RunSandbox, task: Task, seen: Observed) -> Observed:
        log_directory(self.state_dir, task.uid).mkdir(mode=0o700, parents=True, exist_ok=True)
        config = sandbox_config(task, self.instance, self.state_dir, step.attempt)
        answer = await self.runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=config))
        made = SeenSandbox(id=answer.pod_sandbox_id, uid=task.uid, attempt=step.attempt, ready=True)
        return replace(seen, sandboxes=(*seen.sandboxes, made))

    async def _create(self, step: steps.CreateContainer, task: Task, seen: Observed) -> Observed:
        home = next(sandbox for sandbox in seen.sandboxes if sandbox.id == step.sandbox_id)
        spec = task.spec.container(step.name)
        said = await asyncio.to_thread(_prepare, spec, volume_directory(self.state_dir, task.uid))
        if spec.secrets:
            await self.secrets(task)
            self._secrets[task.id].update(said[name] for name in spec.secrets)
        request = v1.CreateContainerRequest(
            pod_sandbox_id=step.sandbox_id,
            config=container_config(task, spec, self.instance, self.state_dir, step.attempt, said),
            sandbox_config=sandbox_config(task, self.instance, self.state_dir, home.attempt),
        )
        answer = await self.runtime.create_container(request)
        made = SeenContainer(
            id=answer.container_id,
            sandbox_id=step.sandbox_id,
            uid=task.uid,
            attempt=step.attempt,
            phase=Phase.CREATED,
            name=step.name,
        )
        return replace(seen, containers=(*seen.containers, made))


def _with(seen: Observed, container_id: str, **changes: Any) -> Observed:
    """``seen`` with ``changes`` to one container."""
    return replace(
        seen, containers=tuple(replace(c, **changes) if c.id == container_id else c for c in seen.containers)
    )


def _prepare(spec: Container, parent: Path) -> dict[str, str]:
    """Its variables. Whoever it runs as may write into its volumes; others on the host do not get past their parent."""
    for volume in (mount.volume for mount in spec.mounts if mount.volume):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (parent / volume).mkdir(exist_ok=True)
        (parent / volume).chmod(0o777)
    return environment(spec)
