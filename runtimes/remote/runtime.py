"""The runtime: a client that bridges a restart of its endpoint and refuses what the endpoint would drop silently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message

from cri import platforms
from cri.addresses import UnixAddress, parse
from cri.client import TIMEOUT, Client
from cri.errors import CRIError, InvalidArgument, NotFound, Unavailable, Unimplemented
from cri.rpc import RPCS, Rpc
from cri.status import is_ours
from cri.tls import Tls
from cri.v1 import api_pb2 as v1
from runtimes.remote.foreign import announced, check, is_incomplete, is_starting, needed, unheeded

Q = TypeVar("Q")
A = TypeVar("A")

_VERSION = next(rpc for rpc in RPCS if rpc.attribute == "version")
_STATUS = next(rpc for rpc in RPCS if rpc.attribute == "container_status")

_STARTING = 0.05
"""Seconds until an endpoint that listens and does not answer yet is asked again."""

_NOBODY = "minicri-asks-who-you-are"
"""Id of a container that there cannot be: every runtime answers with an error, and ours are marked."""


class RemoteRuntime(Client):
    """Any CRI v1 endpoint. What a call answers, streaming URLs included, is what the endpoint answered.

    Three things are added: a new call waits a little for an endpoint that went away; annotations of minicri's are
    refused (Unimplemented) where the endpoint is none and would ignore them; and Status is an answer also while the
    endpoint is away, as it is for every runtime.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: Tls | None,
        insecure: bool,
        timeout: float,
        pull_timeout: float | None = None,
    ) -> None:
        super().__init__(address, tls=tls, insecure=insecure, timeout=timeout)
        self.pull_timeout = pull_timeout
        self.reconnect_timeout = 0.0
        """Seconds that a call waits for the endpoint where there is no connection. 0: the first attempt decides."""
        # Over TCP it may be another machine.
        self._platform = platforms.host() if isinstance(parse(address), UnixAddress) else None

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        tls: Tls | None = None,
        insecure: bool = False,
        timeout: float = TIMEOUT,
        pull_timeout: float | None = None,
    ) -> Self:
        """See ``cri.client.connect`` and ``RemoteConfig``."""
        return cls(address, tls=tls, insecure=insecure, timeout=timeout, pull_timeout=pull_timeout)

    async def is_minicri(self) -> bool:
        """Whether the endpoint heeds minicri's annotations, told by how it refuses. Raises Unavailable."""
        ask: Any = self._channel.unary_unary(_STATUS.path, v1.ContainerStatusRequest.SerializeToString)
        try:
            await ask(v1.ContainerStatusRequest(container_id=_NOBODY), timeout=self.timeout)
        except grpc.aio.AioRpcError as error:
            if is_ours(error):
                return True
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise self._failure(_STATUS, error) from error
        return False

    async def status(self, request: v1.StatusRequest) -> v1.StatusResponse:
        """Conditions, handlers, features; both conditions are false while the endpoint is away."""
        try:
            return await Client.status(self, request)
        except Unavailable as error:
            conditions = [
                v1.RuntimeCondition(type=kind, status=False, reason="EndpointUnavailable", message=error.message)
                for kind in ("RuntimeReady", "NetworkReady")
            ]
            return v1.StatusResponse(status=v1.RuntimeStatus(conditions=conditions))

    async def get_container_events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        """Events until cancelled. An end that the endpoint makes, in order or not, is Unavailable: events are lost."""
        async with aclosing(_events(self, request)) as events:
            async for event in events:
                yield event
        raise Unavailable(f"{self.address} ended the stream of events")

    async def stop_container(self, request: v1.StopContainerRequest) -> v1.StopContainerResponse:
        return await self._idempotent(Client.stop_container, request, v1.StopContainerResponse())

    async def remove_container(self, request: v1.RemoveContainerRequest) -> v1.RemoveContainerResponse:
        return await self._idempotent(Client.remove_container, request, v1.RemoveContainerResponse())

    async def stop_pod_sandbox(self, request: v1.StopPodSandboxRequest) -> v1.StopPodSandboxResponse:
        return await self._idempotent(Client.stop_pod_sandbox, request, v1.StopPodSandboxResponse())

    async def remove_pod_sandbox(self, request: v1.RemovePodSandboxRequest) -> v1.RemovePodSandboxResponse:
        return await self._idempotent(Client.remove_pod_sandbox, request, v1.RemovePodSandboxResponse())

    async def remove_image(self, request: v1.RemoveImageRequest) -> v1.RemoveImageResponse:
        return await self._idempotent(Client.remove_image, request, v1.RemoveImageResponse())

    async def _idempotent(self, call: Callable[[Client, Q], Awaitable[A]], request: Q, gone: A) -> A:
        """CRI: what is not there has been stopped and removed. Not every runtime says so (containerd 1.6)."""
        try:
            return await call(self, request)
        except NotFound:
            return gone

    async def _prepare(self, rpc: Rpc, request: Message) -> None:
        if self._closed:
            return
        if self.reconnect_timeout and not self._connected():
            # Where it does not come back the call itself says why.
            with suppress(Unavailable, TimeoutError):
                await self._come_back(min(self.reconnect_timeout, self.timeout))
        check(request)
        if is_incomplete(request) and not await self.is_minicri():
            raise InvalidArgument(f"sandbox_config.metadata is required by the runtime at {self.address}")
        if (said := unheeded(request, self._platform)) and not await self.is_minicri():
            raise Unimplemented(_refusal(self.address, said), details=said)
        if features := needed(request):
            answer = announced(await Client.status(self, v1.StatusRequest()))
            if missing := sorted(feature for feature in features if not answer[feature]):
                raise Unimplemented(
                    f"the runtime at {self.address} does not announce {', '.join(missing)} in its Status"
                )

    async def _come_back(self, timeout: float) -> None:
        async with asyncio.timeout(timeout):
            await self.ready(timeout)
            ask: Any = self._channel.unary_unary(_VERSION.path, v1.VersionRequest.SerializeToString)
            while True:
                try:
                    await ask(v1.VersionRequest())
                    return
                except grpc.aio.AioRpcError as error:
                    if not isinstance(self._failure(_VERSION, error), Unavailable):
                        return
                await asyncio.sleep(_STARTING)

    def _failure(self, rpc: Rpc, error: grpc.aio.AioRpcError) -> CRIError:
        failure = super()._failure(rpc, error)
        return Unavailable(f"{self.address} is starting: {failure.message}") if is_starting(failure) else failure

    def _deadline(self, rpc: Rpc, request: Message) -> float | None:
        if isinstance(request, v1.PullImageRequest):
            return self.pull_timeout
        return super()._deadline(rpc, request)


def _events(runtime: Client, request: v1.GetEventsRequest) -> AsyncGenerator[v1.ContainerEventResponse, None]:
    return cast("AsyncGenerator[v1.ContainerEventResponse, None]", Client.get_container_events(runtime, request))


def _refusal(address: str, said: dict[str, str]) -> str:
    annotations = ", ".join(f"{key}={value!r}" for key, value in said.items())
    return f"the runtime at {address} is no minicri and would ignore {annotations}; see runtimes/remote/README.md"
