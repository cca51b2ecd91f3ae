"""``DockerRuntime``: the contract on a Docker engine. It composes; each RPC is a line that names who does it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.docker.attach import Attach
from runtimes.docker.checkpoint import Checkpoint
from runtimes.docker.config import DockerConfig
from runtimes.docker.container_life import ContainerLife
from runtimes.docker.containers import Containers
from runtimes.docker.engine import Engine
from runtimes.docker.event_source import EngineEvents, EventSource
from runtimes.docker.exec_process import ExecProcesses
from runtimes.docker.image_files import ImageFiles
from runtimes.docker.images import Images
from runtimes.docker.logs import Logs
from runtimes.docker.mounted_images import MountedImages
from runtimes.docker.networks import Networks
from runtimes.docker.pause_process import pause_processes
from runtimes.docker.places import Places
from runtimes.docker.pulls import Pulls
from runtimes.docker.removal import Removal
from runtimes.docker.sandboxes import Sandboxes
from runtimes.docker.status import Status
from runtimes.shared import image_status, metrics
from runtimes.shared.container_events import ContainerEvents
from runtimes.shared.event_watch import EventWatch
from runtimes.shared.exec_stream import ExecStream
from runtimes.shared.exec_sync import ExecSync
from runtimes.shared.fresh import Fresh
from runtimes.shared.image_accounts import ImageAccounts
from runtimes.shared.port_forward import PortForward
from runtimes.shared.records import Records
from runtimes.shared.stats import Stats
from runtimes.shared.streams import Streams


class DockerRuntime(Runtime):
    """A Docker engine as a CRI runtime. Make one with ``open``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        records = Records()
        self._watch = EventWatch(EngineEvents(engine))
        self._logs = Logs(engine, records, self._watch)
        self._fresh = Fresh(records)
        removal = Removal(engine, self._logs)
        self._networks = Networks(engine)
        self._sandboxes = Sandboxes(engine, records, removal, self._networks)
        source = EventSource(engine, records, self._fresh, self._sandboxes, self._logs, self._watch.listened_at)
        self._events = ContainerEvents(source)
        self._watch.on_connected = self._begin_to_hear
        self._watch.on_event = lambda event: self._events.hear(source.told(event))
        life = ContainerLife(engine, removal, self._logs, self._events, self._watch)
        self._status = Status(engine)
        self._images = Images(engine)
        self._pulls = Pulls(engine, self._images)
        self._image_files = ImageFiles(engine, removal)
        image_accounts = ImageAccounts(self._image_files)
        mounted = MountedImages(engine, self._images, self._image_files)
        self._containers = Containers(
            engine, records, self._fresh, life, self._sandboxes, self._images, image_accounts, mounted
        )
        self._checkpoint = Checkpoint(engine, self._containers)
        commands = ExecProcesses(engine, self._containers)
        self._exec_sync = ExecSync(commands)
        self._streams = Streams(
            ExecStream(commands),
            Attach(engine, self._containers),
            PortForward(pause_processes(engine, self._sandboxes)),
            engine.config,
        )
        self._stats = Stats(Places(engine), self._containers, self._sandboxes)

    @classmethod
    async def open(cls, config: DockerConfig) -> DockerRuntime:
        """Raises Unavailable when no engine answers, FailedPrecondition when it is too old."""
        engine = Engine(config)
        runtime: DockerRuntime | None = None
        try:
            await engine.facts()
            runtime = cls(engine)
            await runtime._networks.sweep()
            await runtime._image_files.sweep()
            runtime._watch.start()
            await runtime._events.start()
            await runtime._logs.resume()
        except BaseException:
            await (runtime or engine).aclose()
            raise
        return runtime

    async def aclose(self) -> None:
        await self._streams.aclose()
        self._image_files.close()
        await self._watch.aclose()
        await self._events.aclose()
        await self._logs.aclose()
        await self._engine.aclose()

    def _begin_to_hear(self) -> None:
        self._fresh.forget_all()
        self._events.relist_soon()

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
        info = _info(found) if request.verbose else {}
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
        return v1.ContainerStatusResponse(status=status, info=_info(found) if request.verbose else {})

    async def update_container_resources(
        self, request: v1.UpdateContainerResourcesRequest
    ) -> v1.UpdateContainerResourcesResponse:
        await self._containers.update(request.container_id, request.linux)
        return v1.UpdateContainerResourcesResponse()

    async def checkpoint_container(self, request: v1.CheckpointContainerRequest) -> v1.CheckpointContainerResponse:
        await self._checkpoint.run(request)
        return v1.CheckpointContainerResponse()

    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        return await self._exec_sync.run(request)

    async def exec(self, request: v1.ExecRequest) -> v1.ExecResponse:
        return v1.ExecResponse(url=await self._streams.exec_url(request))

    async def attach(self, request: v1.AttachRequest) -> v1.AttachResponse:
        return v1.AttachResponse(url=await self._streams.attach_url(request))

    async def port_forward(self, request: v1.PortForwardRequest) -> v1.PortForwardResponse:
        return v1.PortForwardResponse(url=await self._streams.port_forward_url(request))

    async def reopen_container_log(self, request: v1.ReopenContainerLogRequest) -> v1.ReopenContainerLogResponse:
        await self._containers.reopen_log(request.container_id)
        return v1.ReopenContainerLogResponse()

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
        image, inspected = found
        return v1.ImageStatusResponse(
            image=image, info=image_status.verbose(inspected, "docker") if request.verbose else {}
        )

    async def pull_image(self, request: v1.PullImageRequest) -> v1.PullImageResponse:
        return v1.PullImageResponse(image_ref=await self._pulls.pull(request))

    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        await self._images.remove(request.image)
        return v1.RemoveImageResponse()

    async def image_fs_info(self, request: v1.ImageFsInfoRequest) -> v1.ImageFsInfoResponse:
        return await self._images.fs_info()


def _info(found: dict[str, Any]) -> dict[str, str]:
    """What a verbose status adds: the process where tools look for it, and the engine's own words."""
    return {"info": json.dumps({"pid": found["State"]["Pid"]}), "docker": json.dumps(found)}
