"""``Runtime``: the contract that every backend implements and every client has.

One async method for each CRI RPC, request message in, response message out; a server-streaming RPC is an async
iterator. The messages are the generated ones, so there is no second model to keep in step with the proto. A
backend in this process and an endpoint across the network are the same kind of object.

Rules for all methods:

- Failures are ``cri.errors.CRIError``; anything else that escapes a backend is a bug, and the server says INTERNAL.
- Cancelling the call cancels the work. There is no timeout parameter: wrap the call in ``asyncio.timeout``.
- Ids may be given in full or as a unique prefix where CRI allows it (filters do; everything else takes full ids).
- Methods that raise ``Unimplemented`` here are optional; a backend overrides what its engine can do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import NoReturn, Self, TypeVar

from cri.errors import Unimplemented
from cri.v1 import api_pb2 as v1

STREAM_PAGE = 500
"""How many items one message of a Stream* RPC carries: far under the message limit, even with large labels."""

_T = TypeVar("_T")


def _pages(items: Sequence[_T]) -> list[Sequence[_T]]:
    return [items[start : start + STREAM_PAGE] for start in range(0, len(items), STREAM_PAGE)]


class Runtime(ABC):
    """A container runtime as CRI v1 sees it. ``async with`` frees what it holds; its containers stay."""

    async def aclose(self) -> None:  # noqa: B027 - a backend that holds nothing has nothing to free
        """Free connections, threads and tasks. Never touches containers. Safe to call twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _unimplemented(self, what: str) -> NoReturn:
        raise Unimplemented(f"{type(self).__name__} has no {what}")

    # --- the runtime itself ---------------------------------------------------------------------------------

    @abstractmethod
    async def version(self, request: v1.VersionRequest) -> v1.VersionResponse:
        """Name and versions; CRI: all four strings are set."""

    @abstractmethod
    async def status(self, request: v1.StatusRequest) -> v1.StatusResponse:
        """Conditions RuntimeReady and NetworkReady (false while the engine is down), handlers, features."""

    @abstractmethod
    async def runtime_config(self, request: v1.RuntimeConfigRequest) -> v1.RuntimeConfigResponse:
        """The cgroup driver. CRI: always set, because the enum's zero means systemd."""

    async def update_runtime_config(self, request: v1.UpdateRuntimeConfigRequest) -> v1.UpdateRuntimeConfigResponse:
        """Hands over the pod CIDR. Most runtimes have nothing to do with it, and say so by succeeding."""
        return v1.UpdateRuntimeConfigResponse()

    # --- sandboxes ------------------------------------------------------------------------------------------

    @abstractmethod
    async def run_pod_sandbox(self, request: v1.RunPodSandboxRequest) -> v1.RunPodSandboxResponse:
        """Create and start a sandbox; READY on return. The same metadata again joins or is AlreadyExists."""

    @abstractmethod
    async def stop_pod_sandbox(self, request: v1.StopPodSandboxRequest) -> v1.StopPodSandboxResponse:
        """Kill the member containers, then give back the network. Idempotent; an unknown id succeeds."""

    @abstractmethod
    async def remove_pod_sandbox(self, request: v1.RemovePodSandboxRequest) -> v1.RemovePodSandboxResponse:
        """Stop, then remove the sandbox and every container in it. Idempotent; an unknown id succeeds."""

    @abstractmethod
    async def pod_sandbox_status(self, request: v1.PodSandboxStatusRequest) -> v1.PodSandboxStatusResponse:
        """State, metadata, addresses. Raises NotFound."""

    @abstractmethod
    async def list_pod_sandbox(self, request: v1.ListPodSandboxRequest) -> v1.ListPodSandboxResponse:
        """The sandboxes that match the filter, newest first; no match is an empty list."""

    async def stream_pod_sandboxes(
        self, request: v1.StreamPodSandboxesRequest
    ) -> AsyncIterator[v1.StreamPodSandboxesResponse]:
        """``list_pod_sandbox`` in pages; the end of the stream is the end of the list."""
        listed = await self.list_pod_sandbox(v1.ListPodSandboxRequest(filter=request.filter))
        for page in _pages(listed.items):
            yield v1.StreamPodSandboxesResponse(pod_sandboxes=page)

    async def update_pod_sandbox_resources(
        self, request: v1.UpdatePodSandboxResourcesRequest
    ) -> v1.UpdatePodSandboxResourcesResponse:
        """Tell the runtime that a sandbox's overall resources changed. Raises NotFound."""
        self._unimplemented("UpdatePodSandboxResources")

    # --- containers -----------------------------------------------------------------------------------------

    @abstractmethod
    async def create_container(self, request: v1.CreateContainerRequest) -> v1.CreateContainerResponse:
        """Create in a READY sandbox. Raises NotFound for sandbox or image, InvalidArgument for the config."""

    @abstractmethod
    async def start_container(self, request: v1.StartContainerRequest) -> v1.StartContainerResponse:
        """Start a CREATED container. Raises NotFound, FailedPrecondition in any other state."""

    @abstractmethod
    async def stop_container(self, request: v1.StopContainerRequest) -> v1.StopContainerResponse:
        """Stop signal once, SIGKILL after ``timeout`` seconds (0: at once). Idempotent; an unknown id succeeds."""

    @abstractmethod
    async def remove_container(self, request: v1.RemoveContainerRequest) -> v1.RemoveContainerResponse:
        """Remove, killing it first where needed. Idempotent; an unknown id succeeds."""

    @abstractmethod
    async def list_containers(self, request: v1.ListContainersRequest) -> v1.ListContainersResponse:
        """The containers that match the filter, newest first; no match is an empty list."""

    async def stream_containers(
        self, request: v1.StreamContainersRequest
    ) -> AsyncIterator[v1.StreamContainersResponse]:
        """``list_containers`` in pages."""
        listed = await self.list_containers(v1.ListContainersRequest(filter=request.filter))
        for page in _pages(listed.containers):
            yield v1.StreamContainersResponse(containers=page)

    @abstractmethod
    async def container_status(self, request: v1.ContainerStatusRequest) -> v1.ContainerStatusResponse:
        """Everything known of one container. Raises NotFound."""

    async def update_container_resources(
        self, request: v1.UpdateContainerResourcesRequest
    ) -> v1.UpdateContainerResourcesResponse:
        """Change limits in place. Raises NotFound, FailedPrecondition once it has exited."""
        self._unimplemented("UpdateContainerResources")

    async def reopen_container_log(self, request: v1.ReopenContainerLogRequest) -> v1.ReopenContainerLogResponse:
        """Write on to a fresh file at the log path after rotation. Raises FailedPrecondition unless running."""
        self._unimplemented("ReopenContainerLog")

    # --- commands and streams -------------------------------------------------------------------------------

    @abstractmethod
    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        """Run a command to its end. ``timeout`` 0 is forever; past it the process dies: DeadlineExceeded."""

    async def exec(self, request: v1.ExecRequest) -> v1.ExecResponse:
        """A URL, good once and for a minute, that runs a command with its streams."""
        self._unimplemented("Exec")

    async def attach(self, request: v1.AttachRequest) -> v1.AttachResponse:
        """A URL, good once and for a minute, that joins the streams of a running container."""
        self._unimplemented("Attach")

    async def port_forward(self, request: v1.PortForwardRequest) -> v1.PortForwardResponse:
        """A URL, good once and for a minute, that carries connections to ports inside the sandbox."""
        self._unimplemented("PortForward")

    # --- stats, metrics, events -----------------------------------------------------------------------------

    async def container_stats(self, request: v1.ContainerStatsRequest) -> v1.ContainerStatsResponse:
        """Resource usage of one container. Raises NotFound."""
        self._unimplemented("ContainerStats")

    async def list_container_stats(self, request: v1.ListContainerStatsRequest) -> v1.ListContainerStatsResponse:
        """Resource usage of the running containers that match the filter."""
        self._unimplemented("ListContainerStats")

    async def stream_container_stats(
        self, request: v1.StreamContainerStatsRequest
    ) -> AsyncIterator[v1.StreamContainerStatsResponse]:
        """``list_container_stats`` in pages."""
        listed = await self.list_container_stats(v1.ListContainerStatsRequest(filter=request.filter))
        for page in _pages(listed.stats):
            yield v1.StreamContainerStatsResponse(container_stats=page)

    async def pod_sandbox_stats(self, request: v1.PodSandboxStatsRequest) -> v1.PodSandboxStatsResponse:
        """Resource usage of one sandbox and what runs in it. Raises NotFound."""
        self._unimplemented("PodSandboxStats")

    async def list_pod_sandbox_stats(self, request: v1.ListPodSandboxStatsRequest) -> v1.ListPodSandboxStatsResponse:
        """Resource usage of the sandboxes that match the filter."""
        self._unimplemented("ListPodSandboxStats")

    async def stream_pod_sandbox_stats(
        self, request: v1.StreamPodSandboxStatsRequest
    ) -> AsyncIterator[v1.StreamPodSandboxStatsResponse]:
        """``list_pod_sandbox_stats`` in pages."""
        listed = await self.list_pod_sandbox_stats(v1.ListPodSandboxStatsRequest(filter=request.filter))
        for page in _pages(listed.stats):
            yield v1.StreamPodSandboxStatsResponse(pod_sandbox_stats=page)

    async def list_metric_descriptors(
        self, request: v1.ListMetricDescriptorsRequest
    ) -> v1.ListMetricDescriptorsResponse:
        """Name, help and label keys of every metric that ``list_pod_sandbox_metrics`` can answer with."""
        self._unimplemented("ListMetricDescriptors")

    async def list_pod_sandbox_metrics(
        self, request: v1.ListPodSandboxMetricsRequest
    ) -> v1.ListPodSandboxMetricsResponse:
        """cAdvisor-style metrics of every sandbox and its containers."""
        self._unimplemented("ListPodSandboxMetrics")

    async def stream_pod_sandbox_metrics(
        self, request: v1.StreamPodSandboxMetricsRequest
    ) -> AsyncIterator[v1.StreamPodSandboxMetricsResponse]:
        """``list_pod_sandbox_metrics`` in pages."""
        listed = await self.list_pod_sandbox_metrics(v1.ListPodSandboxMetricsRequest())
        for page in _pages(listed.pod_metrics):
            yield v1.StreamPodSandboxMetricsResponse(pod_sandbox_metrics=page)

    @abstractmethod
    def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        """Created, started, stopped, deleted, for containers and sandboxes, from now on, until cancelled."""

    # --- checkpoints ----------------------------------------------------------------------------------------

    async def checkpoint_container(self, request: v1.CheckpointContainerRequest) -> v1.CheckpointContainerResponse:
        """Write a running container's state to ``location``."""
        self._unimplemented("CheckpointContainer")

    async def checkpoint_pod(self, request: v1.CheckpointPodRequest) -> v1.CheckpointPodResponse:
        """Write a whole sandbox's state to ``output_path``."""
        self._unimplemented("CheckpointPod")

    async def restore_pod(self, request: v1.RestorePodRequest) -> v1.RestorePodResponse:
        """Bring back what ``checkpoint_pod`` wrote."""
        self._unimplemented("RestorePod")

    # --- images ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def list_images(self, request: v1.ListImagesRequest) -> v1.ListImagesResponse:
        """The images here, filtered by reference or id."""

    async def stream_images(self, request: v1.StreamImagesRequest) -> AsyncIterator[v1.StreamImagesResponse]:
        """``list_images`` in pages."""
        listed = await self.list_images(v1.ListImagesRequest(filter=request.filter))
        for page in _pages(listed.images):
            yield v1.StreamImagesResponse(images=page)

    @abstractmethod
    async def image_status(self, request: v1.ImageStatusRequest) -> v1.ImageStatusResponse:
        """One image; CRI: a missing one is an empty response, not an error."""

    @abstractmethod
    async def pull_image(self, request: v1.PullImageRequest) -> v1.PullImageResponse:
        """Fetch an image; the answer's ``image_ref`` is the image's id. Progress goes to ``cri.progress``."""

    @abstractmethod
    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        """Remove an image with all its tags. Idempotent; a missing one succeeds."""

    @abstractmethod
    async def image_fs_info(self, request: v1.ImageFsInfoRequest) -> v1.ImageFsInfoResponse:
        """Where images and containers are stored, and how much they use."""
