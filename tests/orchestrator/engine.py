"""``Engine``: the smallest runtime that tells the truth about what was started, for tests of the orchestrator's logic.

It counts every start by task and attempt, never forgets that it did, and can be told to fail, to be slow, or to end
a container. It is no stand-in for the fake backend, which has the whole contract.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import NoReturn

from cri.errors import AlreadyExists, CRIError, FailedPrecondition, NotFound
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from orchestrator.pods import ATTEMPT, TASK, UID

Key = tuple[str, str, int, str]
"""Task, uid, attempt, container."""


class Engine(Runtime):
    """``before`` is awaited on the way into each call that changes or looks; raising from it fails the call."""

    def __init__(self) -> None:
        self.sandboxes: dict[str, v1.PodSandbox] = {}
        self.containers: dict[str, v1.ContainerStatus] = {}
        self.homes: dict[str, str] = {}
        self.configs: dict[str, v1.ContainerConfig] = {}
        self.commands: list[tuple[str, tuple[str, ...], int]] = []
        """Container, command and timeout of each exec."""
        self.answer: Callable[[str, Sequence[str]], int] = lambda name, command: 0
        """The code that a command in a container of this name exits with."""
        self.printed = b"as scripted"
        """What each command prints."""
        self.updates: list[tuple[str, v1.LinuxContainerResources]] = []
        self.images: set[str] = {"busybox"}
        self.starts: Counter[Key] = Counter()
        self.stops: list[tuple[str, int]] = []
        self.pulled: list[str] = []
        self.failures: dict[str, list[CRIError]] = defaultdict(list)
        self.pull_gate = asyncio.Event()
        self.pull_gate.set()
        self.exits_at_once: Callable[[Key], int | None] = lambda key: None
        self.events: set[asyncio.Queue[v1.ContainerEventResponse]] = set()
        self.deaf = False
        self._ids = count(1)
        self._clock = count(1_000_000_000)

    # --- what tests do behind the orchestrator's back --------------------------------------------------------

    def running(self, task_id: str) -> list[str]:
        return [c.id for c in self.containers.values() if c.labels[TASK] == task_id and c.state == v1.CONTAINER_RUNNING]

    def end(self, container_id: str, code: int) -> None:
        """The container's process exits."""
        status = self.containers[container_id]
        status.state, status.exit_code, status.finished_at = v1.CONTAINER_EXITED, code, next(self._clock)
        status.reason = "Completed" if code == 0 else "Error"
        self._tell(v1.CONTAINER_STOPPED_EVENT, container_id)

    def lose_container(self, container_id: str) -> None:
        self._tell(v1.CONTAINER_DELETED_EVENT, container_id)
        del self.containers[container_id], self.homes[container_id]

    def kill_sandbox(self, sandbox_id: str) -> None:
        self.sandboxes[sandbox_id].state = v1.SANDBOX_NOTREADY

    def fail_next(self, method: str, *errors: CRIError) -> None:
        self.failures[method].extend(errors)

    def _tell(self, kind: v1.ContainerEventType, container_id: str) -> None:
        sandbox = self.sandboxes.get(self.homes[container_id])
        event = v1.ContainerEventResponse(
            container_id=container_id,
            container_event_type=kind,
            pod_sandbox_status=v1.PodSandboxStatus(labels=sandbox.labels if sandbox else {}),
            containers_statuses=[self.containers[container_id]],
        )
        if not self.deaf:
            for listener in self.events:
                listener.put_nowait(event)

    async def enter(self, method: str) -> None:
        await asyncio.sleep(0)
        if self.failures[method]:
            raise self.failures[method].pop(0)

    # --- the contract, as far as the orchestrator uses it ----------------------------------------------------

    async def run_pod_sandbox(self, request: v1.RunPodSandboxRequest) -> v1.RunPodSandboxResponse:
        await self.enter("run_pod_sandbox")
        config = request.config
        if any(one.metadata == config.metadata for one in self.sandboxes.values()):
            raise AlreadyExists(f"sandbox {config.metadata.name!r} exists")
        sandbox = v1.PodSandbox(
            id=f"sandbox-{next(self._ids)}",
            metadata=config.metadata,
            state=v1.SANDBOX_READY,
            labels=config.labels,
        )
        self.sandboxes[sandbox.id] = sandbox
        return v1.RunPodSandboxResponse(pod_sandbox_id=sandbox.id)

    async def stop_pod_sandbox(self, request: v1.StopPodSandboxRequest) -> v1.StopPodSandboxResponse:
        await self.enter("stop_pod_sandbox")
        for container_id, home in self.homes.items():
            if home == request.pod_sandbox_id and self.containers[container_id].state == v1.CONTAINER_RUNNING:
                self.end(container_id, 137)
        if request.pod_sandbox_id in self.sandboxes:
            self.sandboxes[request.pod_sandbox_id].state = v1.SANDBOX_NOTREADY
        return v1.StopPodSandboxResponse()

    async def remove_pod_sandbox(self, request: v1.RemovePodSandboxRequest) -> v1.RemovePodSandboxResponse:
        await self.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=request.pod_sandbox_id))
        for container_id in [c for c, home in self.homes.items() if home == request.pod_sandbox_id]:
            self.lose_container(container_id)
        self.sandboxes.pop(request.pod_sandbox_id, None)
        return v1.RemovePodSandboxResponse()

    async def list_pod_sandbox(self, request: v1.ListPodSandboxRequest) -> v1.ListPodSandboxResponse:
        await self.enter("list_pod_sandbox")
        wanted = request.filter.label_selector.items()
        return v1.ListPodSandboxResponse(items=[s for s in self.sandboxes.values() if wanted <= s.labels.items()])

    async def create_container(self, request: v1.CreateContainerRequest) -> v1.CreateContainerResponse:
        await self.enter("create_container")
        sandbox = self.sandboxes.get(request.pod_sandbox_id)
        if sandbox is None or request.config.image.image not in self.images:
            raise NotFound("no such sandbox or image")
        status = v1.ContainerStatus(
            id=f"container-{next(self._ids)}",
            metadata=request.config.metadata,
            labels=request.config.labels,
            annotations=request.config.annotations,
            state=v1.CONTAINER_CREATED,
        )
        self.configs[status.id] = request.config
        self.containers[status.id] = status
        self.homes[status.id] = sandbox.id
        return v1.CreateContainerResponse(container_id=status.id)

    async def start_container(self, request: v1.StartContainerRequest) -> v1.StartContainerResponse:
        await self.enter("start_container")
        status = self.containers.get(request.container_id)
        if status is None:
            raise NotFound("no such container")
        if status.state != v1.CONTAINER_CREATED:
            raise FailedPrecondition("it was started before")
        status.state, status.started_at = v1.CONTAINER_RUNNING, next(self._clock)
        key = (status.labels[TASK], status.labels[UID], int(status.labels[ATTEMPT]), status.metadata.name)
        self.starts[key] += 1
        if (code := self.exits_at_once(key)) is not None:
            self.end(status.id, code)
        return v1.StartContainerResponse()

    async def stop_container(self, request: v1.StopContainerRequest) -> v1.StopContainerResponse:
        await self.enter("stop_container")
        self.stops.append((request.container_id, request.timeout))
        status = self.containers.get(request.container_id)
        if status is not None and status.state == v1.CONTAINER_RUNNING:
            self.end(request.container_id, 143)
        return v1.StopContainerResponse()

    async def remove_container(self, request: v1.RemoveContainerRequest) -> v1.RemoveContainerResponse:
        await self.enter("remove_container")
        if request.container_id in self.containers:
            self.lose_container(request.container_id)
        return v1.RemoveContainerResponse()

    async def list_containers(self, request: v1.ListContainersRequest) -> v1.ListContainersResponse:
        await self.enter("list_containers")
        wanted = request.filter.label_selector.items()
        found = [c for c in self.containers.values() if wanted <= c.labels.items()]
        return v1.ListContainersResponse(
            containers=[
                v1.Container(
                    id=c.id,
                    pod_sandbox_id=self.homes[c.id],
                    metadata=c.metadata,
                    state=c.state,
                    image_ref=self.configs[c.id].image.image if c.id in self.configs else "",
                    labels=c.labels,
                    annotations=c.annotations,
                )
                for c in found
            ]
        )

    async def container_status(self, request: v1.ContainerStatusRequest) -> v1.ContainerStatusResponse:
        await self.enter("container_status")
        if request.container_id not in self.containers:
            raise NotFound("no such container")
        return v1.ContainerStatusResponse(status=self.containers[request.container_id])

    async def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        queue: asyncio.Queue[v1.ContainerEventResponse] = asyncio.Queue()
        self.events.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.events.discard(queue)

    async def image_status(self, request: v1.ImageStatusRequest) -> v1.ImageStatusResponse:
        await self.enter("image_status")
        name = request.image.image
        found = v1.Image(id=name, repo_tags=[name]) if name in self.images else None
        return v1.ImageStatusResponse(image=found)

    async def pull_image(self, request: v1.PullImageRequest) -> v1.PullImageResponse:
        await self.enter("pull_image")
        await self.pull_gate.wait()
        self.pulled.append(request.image.image)
        self.images.add(request.image.image)
        return v1.PullImageResponse(image_ref=request.image.image)

    async def list_images(self, request: v1.ListImagesRequest) -> v1.ListImagesResponse:
        return v1.ListImagesResponse(images=[v1.Image(id=name, repo_tags=[name]) for name in sorted(self.images)])

    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        self.images.discard(request.image.image)
        return v1.RemoveImageResponse()

    async def image_fs_info(self, request: v1.ImageFsInfoRequest) -> v1.ImageFsInfoResponse:
        return v1.ImageFsInfoResponse()

    async def pod_sandbox_status(self, request: v1.PodSandboxStatusRequest) -> v1.PodSandboxStatusResponse:
        await self.enter("pod_sandbox_status")
        return v1.PodSandboxStatusResponse(
            status=v1.PodSandboxStatus(network=v1.PodSandboxNetworkStatus(ip="127.0.0.1"))
        )

    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        await self.enter("exec_sync")
        status = self.containers.get(request.container_id)
        if status is None or status.state != v1.CONTAINER_RUNNING:
            raise FailedPrecondition("it does not run")
        name, command = status.metadata.name, tuple(request.cmd)
        self.commands.append((name, command, request.timeout))
        return v1.ExecSyncResponse(exit_code=self.answer(name, command), stderr=self.printed)

    async def update_container_resources(
        self, request: v1.UpdateContainerResourcesRequest
    ) -> v1.UpdateContainerResourcesResponse:
        await self.enter("update_container_resources")
        if request.container_id not in self.containers:
            raise NotFound("no such container")
        self.updates.append((self.containers[request.container_id].metadata.name, request.linux))
        self.configs[request.container_id].linux.resources.MergeFrom(request.linux)
        return v1.UpdateContainerResourcesResponse()

    # --- what the orchestrator never calls -------------------------------------------------------------------

    def _unused(self, request: object) -> NoReturn:
        raise AssertionError(f"the orchestrator has no business with {type(request).__name__}")

    async def version(self, request: v1.VersionRequest) -> v1.VersionResponse:
        self._unused(request)

    async def status(self, request: v1.StatusRequest) -> v1.StatusResponse:
        self._unused(request)

    async def runtime_config(self, request: v1.RuntimeConfigRequest) -> v1.RuntimeConfigResponse:
        self._unused(request)
