"""``NativeRuntime``: the contract on the kernel itself. It composes; each RPC is a line that names who does it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

from cri import platforms
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.engine import Engine
from runtimes.native.records import ContainerRecord, SandboxRecord
from runtimes.shared import metrics


class NativeRuntime(Runtime):
    """The engine in this process. Make one with ``open``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._status = engine.status
        self._sandboxes = engine.sandboxes
        self._containers = engine.containers
        self._images = engine.images
        self._events = engine.events
        self._stats = engine.stats

    @classmethod
    async def open(cls, config: NativeConfig) -> NativeRuntime:
        """Raises FailedPrecondition for what this host lacks."""
        return cls(await Engine.open(config))

    async def aclose(self) -> None:
        await self._engine.aclose()

    # --- the runtime itself ---------------------------------------------------------------------------------

    async def version(self, request: v1.VersionRequest) -> v1.VersionResponse:
        return await self._status.version()

    async def status(self, request: v1.StatusRequest) -> v1.StatusResponse:
        return await self._status.status(verbose=request.verbose)

    async def runtime_config(self, request: v1.RuntimeConfigRequest) -> v1.RuntimeConfigResponse:
        return await self._status.runtime_config()

    # --- sandboxes ------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, request: v1.RunPodSandboxRequest) -> v1.RunPodSandboxResponse:
        return v1.RunPodSandboxResponse(pod_sandbox_id=await self._sandboxes.run(request))

    async def stop_pod_sandbox(self, request: v1.StopPodSandboxRequest) -> v1.StopPodSandboxResponse:
        await self._sandboxes.stop(request.pod_sandbox_id)
        return v1.StopPodSandboxResponse()

    async def remove_pod_sandbox(self, request: v1.RemovePodSandboxRequest) -> v1.RemovePodSandboxResponse:
        await self._sandboxes.remove(request.pod_sandbox_id)
        return v1.RemovePodSandboxResponse()

    async def pod_sandbox_status(self, request: v1.PodSandboxStatusRequest) -> v1.PodSandboxStatusResponse:
        status, record = await self._sandboxes.status(request.pod_sandbox_id)
        info = _info(record, record.init_pid) if request.verbose else {}
        return v1.PodSandboxStatusResponse(status=status, info=info, timestamp=time.time_ns())

    async def list_pod_sandbox(self, request: v1.ListPodSandboxRequest) -> v1.ListPodSandboxResponse:
        return v1.ListPodSandboxResponse(items=await self._sandboxes.list(request.filter))

    async def update_pod_sandbox_resources(
        self, request: v1.UpdatePodSandboxResourcesRequest
    ) -> v1.UpdatePodSandboxResourcesResponse:
        await self._sandboxes.update(request)
        return v1.UpdatePodSandboxResourcesResponse()

    # --- containers -----------------------------------------------------------------------------------------

    async def create_container(self, request: v1.CreateContainerRequest) -> v1.CreateContainerResponse:
        return v1.CreateContainerResponse(container_id=await self._containers.create(request))

    async def start_container(self, request: v1.StartContainerRequest) -> v1.StartContainerResponse:
        await self._containers.start(request.container_id)
        return v1.StartContainerResponse()

    async def stop_container(self, request: v1.StopContainerRequest) -> v1.StopContainerResponse:
        await self._containers.stop(request.container_id, float(request.timeout))
        return v1.StopContainerResponse()

    async def remove_container(self, request: v1.RemoveContainerRequest) -> v1.RemoveContainerResponse:
        await self._containers.remove(request.container_id)
        return v1.RemoveContainerResponse()

    async def list_containers(self, request: v1.ListContainersRequest) -> v1.ListContainersResponse:
        return v1.ListContainersResponse(containers=await self._containers.list(request.filter))

    async def container_status(self, request: v1.ContainerStatusRequest) -> v1.ContainerStatusResponse:
        status, details = await self._containers.status(request.container_id)
        record: ContainerRecord = details["record"]
        return v1.ContainerStatusResponse(status=status, info=_info(record, record.pid) if request.verbose else {})

    async def update_container_resources(
        self, request: v1.UpdateContainerResourcesRequest
    ) -> v1.UpdateContainerResourcesResponse:
        await self._containers.update(request.container_id, request.linux)
        return v1.UpdateContainerResourcesResponse()

    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        return await self._engine.exec_sync.run(request)

    async def exec(self, request: v1.ExecRequest) -> v1.ExecResponse:
        return v1.ExecResponse(url=await self._engine.streams.exec_url(request))

    async def attach(self, request: v1.AttachRequest) -> v1.AttachResponse:
        return v1.AttachResponse(url=await self._engine.streams.attach_url(request))

    async def port_forward(self, request: v1.PortForwardRequest) -> v1.PortForwardResponse:
        return v1.PortForwardResponse(url=await self._engine.streams.port_forward_url(request))

    async def reopen_container_log(self, request: v1.ReopenContainerLogRequest) -> v1.ReopenContainerLogResponse:
        await self._containers.reopen_log(request.container_id)
        return v1.ReopenContainerLogResponse()

    async def checkpoint_container(self, request: v1.CheckpointContainerRequest) -> v1.CheckpointContainerResponse:
        await self._engine.checkpoint.run(request)
        return v1.CheckpointContainerResponse()

    def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        return self._events.subscribe()

    # --- stats and metrics ----------------------------------------------------------------------------------

    async def container_stats(self, request: v1.ContainerStatsRequest) -> v1.ContainerStatsResponse:
        return v1.ContainerStatsResponse(stats=await self._stats.container(request.container_id))

    async def list_container_stats(self, request: v1.ListContainerStatsRequest) -> v1.ListContainerStatsResponse:
        return v1.ListContainerStatsResponse(stats=await self._stats.containers(request.filter))

    async def pod_sandbox_stats(self, request: v1.PodSandboxStatsRequest) -> v1.PodSandboxStatsResponse:
        return v1.PodSandboxStatsResponse(stats=await self._stats.sandbox(request.pod_sandbox_id))

    async def list_pod_sandbox_stats(self, request: v1.ListPodSandboxStatsRequest) -> v1.ListPodSandboxStatsResponse:
        return v1.ListPodSandboxStatsResponse(stats=await self._stats.sandboxes(request.filter))

    async def list_metric_descriptors(
        self, request: v1.ListMetricDescriptorsRequest
    ) -> v1.ListMetricDescriptorsResponse:
        return v1.ListMetricDescriptorsResponse(descriptors=metrics.descriptors())

    async def list_pod_sandbox_metrics(
        self, request: v1.ListPodSandboxMetricsRequest
    ) -> v1.ListPodSandboxMetricsResponse:
        return v1.ListPodSandboxMetricsResponse(pod_metrics=await self._stats.metrics())

    # --- images ---------------------------------------------------------------------------------------------

    async def list_images(self, request: v1.ListImagesRequest) -> v1.ListImagesResponse:
        return v1.ListImagesResponse(images=await self._images.list(request.filter))

    async def image_status(self, request: v1.ImageStatusRequest) -> v1.ImageStatusResponse:
        found = await self._images.status(request.image)
        if found is None:
            return v1.ImageStatusResponse()
        image, known = found
        info = {"info": json.dumps(known)} if request.verbose else {}
        return v1.ImageStatusResponse(image=image, info=info)

    async def pull_image(self, request: v1.PullImageRequest) -> v1.PullImageResponse:
        return v1.PullImageResponse(image_ref=await self._images.pull(request))

    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        await self._images.remove(request.image)
        return v1.RemoveImageResponse()

    async def import_image(self, path: Path, name: str = "", platform: str = "") -> list[str]:
        """Take in the image at ``path`` (an archive or a directory); the ids. Beyond CRI: it needs no registry."""
        wanted = platforms.parse(platform) if platform else None
        return [record.id for record in await self._images.import_(path, name, wanted)]

    async def image_fs_info(self, request: v1.ImageFsInfoRequest) -> v1.ImageFsInfoResponse:
        return await self._images.fs_info()


def _info(record: SandboxRecord | ContainerRecord, pid: int) -> dict[str, str]:
    """What a verbose status adds: the process where tools look for it, and what else is noted."""
    found = {"pid": pid, "phase": str(record.phase), "name": record.name, "cgroup": record.cgroup}
    if isinstance(record, ContainerRecord):
        found["monitorPid"] = record.monitor_pid
    return {"info": json.dumps(found)}
