"""The contract, an RPC a method. What is not here is optional and answers UNIMPLEMENTED, or follows from what is."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cri.runtime import Runtime
from cri.streaming import StreamingServer
from cri.v1 import api_pb2 as v1

from .streams import MineStreams


class MineRuntime(Runtime):
    """Owns ``engine``. Yours calls its engine where this one passes the request on, and raises ``cri.errors``."""

    def __init__(self, engine: Runtime) -> None:
        self._engine = engine
        self._streaming = StreamingServer(MineStreams(engine))

    async def aclose(self) -> None:
        try:
            await self._streaming.aclose()
        finally:
            await self._engine.aclose()

    # --- the runtime itself ---------------------------------------------------------------------------------

    async def version(self, request: v1.VersionRequest) -> v1.VersionResponse:
        answer = await self._engine.version(request)
        answer.runtime_name = "mine"
        return answer

    async def status(self, request: v1.StatusRequest) -> v1.StatusResponse:
        return await self._engine.status(request)

    async def runtime_config(self, request: v1.RuntimeConfigRequest) -> v1.RuntimeConfigResponse:
        return await self._engine.runtime_config(request)

    # --- sandboxes ------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, request: v1.RunPodSandboxRequest) -> v1.RunPodSandboxResponse:
        return await self._engine.run_pod_sandbox(request)

    async def stop_pod_sandbox(self, request: v1.StopPodSandboxRequest) -> v1.StopPodSandboxResponse:
        return await self._engine.stop_pod_sandbox(request)

    async def remove_pod_sandbox(self, request: v1.RemovePodSandboxRequest) -> v1.RemovePodSandboxResponse:
        return await self._engine.remove_pod_sandbox(request)

    async def pod_sandbox_status(self, request: v1.PodSandboxStatusRequest) -> v1.PodSandboxStatusResponse:
        return await self._engine.pod_sandbox_status(request)

    async def list_pod_sandbox(self, request: v1.ListPodSandboxRequest) -> v1.ListPodSandboxResponse:
        return await self._engine.list_pod_sandbox(request)

    # --- containers -----------------------------------------------------------------------------------------

    async def create_container(self, request: v1.CreateContainerRequest) -> v1.CreateContainerResponse:
        return await self._engine.create_container(request)

    async def start_container(self, request: v1.StartContainerRequest) -> v1.StartContainerResponse:
        return await self._engine.start_container(request)

    async def stop_container(self, request: v1.StopContainerRequest) -> v1.StopContainerResponse:
        return await self._engine.stop_container(request)

    async def remove_container(self, request: v1.RemoveContainerRequest) -> v1.RemoveContainerResponse:
        return await self._engine.remove_container(request)

    async def list_containers(self, request: v1.ListContainersRequest) -> v1.ListContainersResponse:
        return await self._engine.list_containers(request)

    async def container_status(self, request: v1.ContainerStatusRequest) -> v1.ContainerStatusResponse:
        return await self._engine.container_status(request)

    async def reopen_container_log(self, request: v1.ReopenContainerLogRequest) -> v1.ReopenContainerLogResponse:
        return await self._engine.reopen_container_log(request)

    # --- commands and streams -------------------------------------------------------------------------------

    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        return await self._engine.exec_sync(request)

    async def exec(self, request: v1.ExecRequest) -> v1.ExecResponse:
        await self._engine.exec(request)  # refuses what no session may be opened for
        return v1.ExecResponse(url=await self._streaming.exec_url(request))

    async def attach(self, request: v1.AttachRequest) -> v1.AttachResponse:
        await self._engine.attach(request)
        return v1.AttachResponse(url=await self._streaming.attach_url(request))

    async def port_forward(self, request: v1.PortForwardRequest) -> v1.PortForwardResponse:
        await self._engine.port_forward(request)
        return v1.PortForwardResponse(url=await self._streaming.port_forward_url(request))

    # --- events ---------------------------------------------------------------------------------------------

    def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        return self._engine.get_container_events(request)

    # --- images ---------------------------------------------------------------------------------------------

    async def list_images(self, request: v1.ListImagesRequest) -> v1.ListImagesResponse:
        return await self._engine.list_images(request)

    async def image_status(self, request: v1.ImageStatusRequest) -> v1.ImageStatusResponse:
        return await self._engine.image_status(request)

    async def pull_image(self, request: v1.PullImageRequest) -> v1.PullImageResponse:
        return await self._engine.pull_image(request)

    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        return await self._engine.remove_image(request)

    async def image_fs_info(self, request: v1.ImageFsInfoRequest) -> v1.ImageFsInfoResponse:
        return await self._engine.image_fs_info(request)
