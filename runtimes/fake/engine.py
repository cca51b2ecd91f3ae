"""The contract on the simulated world, without a script. It composes; each RPC is a line that names who does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

from cri.errors import Unimplemented
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.fake.commands import Commands
from runtimes.fake.containers import Containers
from runtimes.fake.image_service import ImageService
from runtimes.fake.sandboxes import Sandboxes
from runtimes.fake.stats import Stats
from runtimes.fake.status import Status
from runtimes.fake.world import World
from runtimes.shared import metrics


class Engine(Runtime):
    """One world and what can be done in it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._status = Status(world)
        self._images = ImageService(world)
        self._containers = Containers(world)
        self.sandboxes = Sandboxes(world, self._containers)
        self._commands = Commands(world)
        self._stats = Stats(world)

    async def aclose(self) -> None:
        await self._commands.aclose()
        await asyncio.gather(*(self.sandboxes.stop(identity) for identity in list(self._world.sandboxes)))
        await self._world.aclose()

    # --- the runtime itself ---------------------------------------------------------------------------------

    async def version(self, request: v1.VersionRequest) -> v1.VersionResponse:
        return self._status.version()

    async def status(self, request: v1.StatusRequest) -> v1.StatusResponse:
        return self._status.status(verbose=request.verbose)

    async def runtime_config(self, request: v1.RuntimeConfigRequest) -> v1.RuntimeConfigResponse:
        return self._status.runtime_config()

    async def update_runtime_config(self, request: v1.UpdateRuntimeConfigRequest) -> v1.UpdateRuntimeConfigResponse:
        self._status.update(request.runtime_config)
        return v1.UpdateRuntimeConfigResponse()

    # --- sandboxes ------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, request: v1.RunPodSandboxRequest) -> v1.RunPodSandboxResponse:
        return v1.RunPodSandboxResponse(pod_sandbox_id=self.sandboxes.run(request))

    async def stop_pod_sandbox(self, request: v1.StopPodSandboxRequest) -> v1.StopPodSandboxResponse:
        await self.sandboxes.stop(request.pod_sandbox_id)
        return v1.StopPodSandboxResponse()

    async def remove_pod_sandbox(self, request: v1.RemovePodSandboxRequest) -> v1.RemovePodSandboxResponse:
        await self.sandboxes.remove(request.pod_sandbox_id)
        return v1.RemovePodSandboxResponse()

    async def pod_sandbox_status(self, request: v1.PodSandboxStatusRequest) -> v1.PodSandboxStatusResponse:
        return self.sandboxes.status(request.pod_sandbox_id, verbose=request.verbose)

    async def list_pod_sandbox(self, request: v1.ListPodSandboxRequest) -> v1.ListPodSandboxResponse:
        return v1.ListPodSandboxResponse(items=self.sandboxes.list(request.filter))

    async def update_pod_sandbox_resources(
        self, request: v1.UpdatePodSandboxResourcesRequest
    ) -> v1.UpdatePodSandboxResourcesResponse:
        self.sandboxes.update_resources(request)
        return v1.UpdatePodSandboxResourcesResponse()

    # --- containers -----------------------------------------------------------------------------------------

    async def create_container(self, request: v1.CreateContainerRequest) -> v1.CreateContainerResponse:
        return v1.CreateContainerResponse(container_id=self._containers.create(request))

    async def start_container(self, request: v1.StartContainerRequest) -> v1.StartContainerResponse:
        self._containers.start(request.container_id)
        await asyncio.sleep(0)  # the program's first step: a stop right after the start meets its signal handlers
        return v1.StartContainerResponse()

    async def stop_container(self, request: v1.StopContainerRequest) -> v1.StopContainerResponse:
        await self._containers.stop(request.container_id, float(request.timeout))
        return v1.StopContainerResponse()

    async def remove_container(self, request: v1.RemoveContainerRequest) -> v1.RemoveContainerResponse:
        await self._containers.remove(request.container_id)
        return v1.RemoveContainerResponse()

    async def list_containers(self, request: v1.ListContainersRequest) -> v1.ListContainersResponse:
        return v1.ListContainersResponse(containers=self._containers.list(request.filter))

    async def container_status(self, request: v1.ContainerStatusRequest) -> v1.ContainerStatusResponse:
        return self._containers.status(request.container_id, verbose=request.verbose)

    async def update_container_resources(
        self, request: v1.UpdateContainerResourcesRequest
    ) -> v1.UpdateContainerResourcesResponse:
        self._containers.update_resources(request)
        return v1.UpdateContainerResourcesResponse()

    async def reopen_container_log(self, request: v1.ReopenContainerLogRequest) -> v1.ReopenContainerLogResponse:
        self._containers.reopen_log(request.container_id)
        return v1.ReopenContainerLogResponse()

    # --- commands and streams -------------------------------------------------------------------------------

    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        return await self._commands.exec_sync(request)

    async def exec(self, request: v1.ExecRequest) -> v1.ExecResponse:
        return v1.ExecResponse(url=await self._commands.exec_url(request))

    async def attach(self, request: v1.AttachRequest) -> v1.AttachResponse:
        return v1.AttachResponse(url=await self._commands.attach_url(request))

    async def port_forward(self, request: v1.PortForwardRequest) -> v1.PortForwardResponse:
        return v1.PortForwardResponse(url=await self._commands.port_forward_url(request))

    # --- stats, metrics, events -----------------------------------------------------------------------------

    async def container_stats(self, request: v1.ContainerStatsRequest) -> v1.ContainerStatsResponse:
        return v1.ContainerStatsResponse(stats=self._stats.of_container(self._world.container(request.container_id)))

    async def list_container_stats(self, request: v1.ListContainerStatsRequest) -> v1.ListContainerStatsResponse:
        return v1.ListContainerStatsResponse(stats=self._stats.of_containers(request.filter))

    async def pod_sandbox_stats(self, request: v1.PodSandboxStatsRequest) -> v1.PodSandboxStatsResponse:
        return v1.PodSandboxStatsResponse(stats=self._stats.of_sandbox(self._world.sandbox(request.pod_sandbox_id)))

    async def list_pod_sandbox_stats(self, request: v1.ListPodSandboxStatsRequest) -> v1.ListPodSandboxStatsResponse:
        return v1.ListPodSandboxStatsResponse(stats=self._stats.of_sandboxes(request.filter))

    async def list_metric_descriptors(
        self, request: v1.ListMetricDescriptorsRequest
    ) -> v1.ListMetricDescriptorsResponse:
        return v1.ListMetricDescriptorsResponse(descriptors=metrics.descriptors())

    async def list_pod_sandbox_metrics(
        self, request: v1.ListPodSandboxMetricsRequest
    ) -> v1.ListPodSandboxMetricsResponse:
        return v1.ListPodSandboxMetricsResponse(pod_metrics=self._stats.metrics())

    def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        return self._world.events.subscribe()

    # --- checkpoints ----------------------------------------------------------------------------------------

    def _unimplemented(self, what: str) -> NoReturn:
        raise Unimplemented(
            f"the fake has no {what}: its processes are coroutines, whose state cannot be written to a file"
        )

    # --- images ---------------------------------------------------------------------------------------------

    async def list_images(self, request: v1.ListImagesRequest) -> v1.ListImagesResponse:
        return v1.ListImagesResponse(images=self._images.list(request.filter))

    async def image_status(self, request: v1.ImageStatusRequest) -> v1.ImageStatusResponse:
        return self._images.status(request.image, verbose=request.verbose)

    async def pull_image(self, request: v1.PullImageRequest) -> v1.PullImageResponse:
        return v1.PullImageResponse(image_ref=self._images.pull(request))

    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        self._images.remove(request.image)
        return v1.RemoveImageResponse()

    async def image_fs_info(self, request: v1.ImageFsInfoRequest) -> v1.ImageFsInfoResponse:
        return self._images.fs_info()
