"""``DockerRuntime``: the contract on a Docker engine. It composes; each RPC is a line that names who does it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.docker.config import DockerConfig
from runtimes.docker.containers import Containers
from runtimes.docker.engine import Engine
from runtimes.docker.images import Images
from runtimes.docker.networks import Networks
from runtimes.docker.pulls import Pulls
from runtimes.docker.records import Records
from runtimes.docker.removal import Removal
from runtimes.docker.sandboxes import Sandboxes
from runtimes.docker.status import Status


class DockerRuntime(Runtime):
    """A Docker engine as a CRI runtime. Make one with ``open``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        records = Records()
        removal = Removal(engine)
        self._status = Status(engine)
        self._images = Images(engine)
        self._pulls = Pulls(engine, self._images)
        self._networks = Networks(engine)
        self._sandboxes = Sandboxes(engine, records, removal, self._networks)
        self._containers = Containers(engine, records, removal, self._sandboxes, self._images)

    @classmethod
    async def open(cls, config: DockerConfig) -> DockerRuntime:
        """Raises Unavailable when no engine answers, FailedPrecondition when it is too old."""
        engine = Engine(config)
        try:
            await engine.facts()
            runtime = cls(engine)
            await runtime._networks.sweep()
        except BaseException:
            await engine.aclose()
            raise
        return runtime

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
        status, found = await self._sandboxes.status(request.pod_sandbox_id)
        info = {"docker": json.dumps(found)} if request.verbose else {}
        return v1.PodSandboxStatusResponse(status=status, info=info, timestamp=time.time_ns())

    async def list_pod_sandbox(self, request: v1.ListPodSandboxRequest) -> v1.ListPodSandboxResponse:
        return v1.ListPodSandboxResponse(items=await self._sandboxes.list(request.filter))

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
        status, found = await self._containers.status(request.container_id)
        return v1.ContainerStatusResponse(status=status, info={"docker": json.dumps(found)} if request.verbose else {})

    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        self._unimplemented("ExecSync")

    def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        self._unimplemented("GetContainerEvents")

    # --- images ---------------------------------------------------------------------------------------------

    async def list_images(self, request: v1.ListImagesRequest) -> v1.ListImagesResponse:
        return v1.ListImagesResponse(images=await self._images.list(request.filter))

    async def image_status(self, request: v1.ImageStatusRequest) -> v1.ImageStatusResponse:
        found = await self._images.status(request.image)
        if found is None:
            return v1.ImageStatusResponse()
        image, inspected = found
        return v1.ImageStatusResponse(image=image, info={"docker": json.dumps(inspected)} if request.verbose else {})

    async def pull_image(self, request: v1.PullImageRequest) -> v1.PullImageResponse:
        return v1.PullImageResponse(image_ref=await self._pulls.pull(request))

    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        await self._images.remove(request.image)
        return v1.RemoveImageResponse()

    async def image_fs_info(self, request: v1.ImageFsInfoRequest) -> v1.ImageFsInfoResponse:
        return await self._images.fs_info()
