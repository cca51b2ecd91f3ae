"""The client: an address becomes an object with one method for each row of a table of RPCs.

``Client`` is a ``Runtime``, so a backend across the network is used like one in this process. The methods are made
from the table; the orchestrator's client is another subclass of ``Connection`` over another table.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

import grpc
from google.protobuf.message import Message

from cri.addresses import parse
from cri.errors import CRIError, DeadlineExceeded, Unavailable
from cri.rpc import MAX_MESSAGE_BYTES, RPCS, Rpc
from cri.runtime import Runtime
from cri.status import CLIENT_METADATA_LIMIT, from_rpc_error
from cri.tls import Tls, channel_credentials
from cri.v1 import api_pb2 as v1

TIMEOUT = 120.0
"""Seconds a unary call may take unless its request says otherwise."""

_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", CLIENT_METADATA_LIMIT),
    ("grpc.absolute_max_metadata_size", CLIENT_METADATA_LIMIT),
    # An endpoint that came back is found within seconds; the library's default grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 3000),
    # How long one attempt to connect may take, despite its name.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # A runtime's endpoint is never behind the proxy that the environment names for the web.
    ("grpc.enable_http_proxy", 0),
    # Each client has its own connection and its own backoff, whatever others in this process talk to.
    ("grpc.use_local_subchannel_pool", 1),
)


class Connection:
    """A channel to an endpoint. A subclass names its table: ``class X(Connection, Interface, rpcs=TABLE)``.

    Calls raise the errors that the other side raised, see ``cri.errors``. A call to an endpoint that is down fails
    with Unavailable at once; the channel reconnects by itself, so the same object works again when it is back.
    """

    at_once: ClassVar[int] = sys.maxsize
    """Unary calls in flight; more wait here, where nobody refuses them, until one of them has its answer."""

    def __init_subclass__(cls, *, rpcs: Sequence[Rpc] = (), **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        # Before ABCMeta counts what is abstract, so an interface's methods are all there.
        for rpc in rpcs:
            setattr(cls, rpc.attribute, _stream(cls, rpc) if rpc.streaming else _unary(cls, rpc))

    def __init__(self, address: str, *, tls: Tls | None, insecure: bool, timeout: float) -> None:
        asyncio.get_running_loop()  # a channel belongs to the loop it is made in
        at = parse(address)
        credentials = channel_credentials(at, tls, insecure)
        options = _OPTIONS
        if tls is not None and tls.server_name:
            options = (*options, ("grpc.ssl_target_name_override", tls.server_name))
        self.address = address
        self.timeout = timeout
        self._closed = False
        self._room = asyncio.Semaphore(self.at_once)
        self._calls: dict[Rpc, Callable[..., Any]] = {}
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(at.target, options)
        else:
            self._channel = grpc.aio.secure_channel(at.target, credentials, options)

    @classmethod
    def connect(cls, address: str, *, tls: Tls | None = None, insecure: bool = False, timeout: float = TIMEOUT) -> Self:
        """See ``cri.client.connect``."""
        return cls(address, tls=tls, insecure=insecure, timeout=timeout)

    async def aclose(self) -> None:
        """Close the channel; calls in flight fail with Unavailable. Safe to call twice."""
        self._closed = True
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def ready(self, timeout: float) -> None:
        """Wait until the endpoint takes connections. Raises Unavailable after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._channel.channel_ready()
        except TimeoutError as error:
            raise Unavailable(f"{self.address} does not answer within {timeout:g} s") from error

    def _deadline(self, rpc: Rpc, request: Message) -> float | None:
        """Seconds that a call may take; None is without limit. Streams have none: they may live for days."""
        return None if rpc.streaming else self.timeout

    async def _prepare(self, rpc: Rpc, request: Message) -> None:
        """What comes before each call. A subclass waits here, or refuses: what this raises is what the call raises."""

    def _begin(self, rpc: Rpc, request: Message) -> Any:
        if not isinstance(request, rpc.request):
            raise TypeError(f"{rpc.attribute} takes a {rpc.request.__name__}, not {type(request).__name__}")
        if self._closed:
            raise Unavailable(f"the client of {self.address} is closed")
        if rpc not in self._calls:
            kind = self._channel.unary_stream if rpc.streaming else self._channel.unary_unary
            self._calls[rpc] = kind(rpc.path, rpc.request.SerializeToString, rpc.response.FromString)
        return self._calls[rpc](request, timeout=self._deadline(rpc, request))

    def _failure(self, rpc: Rpc, error: grpc.aio.AioRpcError) -> CRIError:
        failure = from_rpc_error(error)
        if isinstance(failure, DeadlineExceeded) and not failure.details and not self._connected():
            # The time was spent on connecting: nobody heard of the call.
            return Unavailable(f"{self.address} does not answer: no connection within the {rpc.name} call's deadline")
        return failure

    def _connected(self) -> bool:
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def _cancellation(self, error: asyncio.CancelledError) -> BaseException:
        """A close of the channel cancels its calls; their callers did not give up and must not look as if."""
        task = asyncio.current_task()
        if self._closed and task is not None and not task.cancelling():
            return Unavailable(f"the client of {self.address} was closed during the call")
        return error


def _unary(cls: type, rpc: Rpc) -> Callable[..., Any]:
    async def method(self: Connection, request: Message) -> Any:
        try:
            async with self._room:
                await self._prepare(rpc, request)
                return await self._begin(rpc, request)
        except grpc.aio.AioRpcError as error:
            raise self._failure(rpc, error) from error
        except asyncio.CancelledError as error:
            raise self._cancellation(error) from None

    return _named(cls, rpc, method)


def _stream(cls: type, rpc: Rpc) -> Callable[..., Any]:
    async def method(self: Connection, request: Message) -> AsyncIterator[Any]:
        await self._prepare(rpc, request)
        call = self._begin(rpc, request)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._failure(rpc, error) from error
        except asyncio.CancelledError as error:
            raise self._cancellation(error) from None
        finally:
            call.cancel()

    return _named(cls, rpc, method)


def _named(cls: type, rpc: Rpc, method: Callable[..., Any]) -> Callable[..., Any]:
    method.__name__ = rpc.attribute
    method.__qualname__ = f"{cls.__qualname__}.{rpc.attribute}"
    method.__doc__ = getattr(getattr(cls, rpc.attribute, None), "__doc__", None)
    return method


class Client(Connection, Runtime, rpcs=RPCS):
    """Any CRI v1 endpoint (ours, containerd, CRI-O) as a ``Runtime``. Made by ``connect``.

    Deadlines: a unary call has ``timeout`` seconds, plus what its own request asks for (StopContainer's grace,
    ExecSync's and CheckpointContainer's limit). ExecSync without a limit, PullImage and streams have none; wrap
    them in ``asyncio.timeout`` where they should.
    """

    at_once = 500

    def _deadline(self, rpc: Rpc, request: Message) -> float | None:
        match request:
            case v1.PullImageRequest() | v1.ExecSyncRequest(timeout=0):
                return None
            case v1.ExecSyncRequest() | v1.StopContainerRequest() | v1.CheckpointContainerRequest():
                asked: int = request.timeout
                return self.timeout + max(asked, 0)
        return super()._deadline(rpc, request)


def connect(address: str, *, tls: Tls | None = None, insecure: bool = False, timeout: float = TIMEOUT) -> Client:
    """A client of the CRI endpoint at ``address``, ``unix:///path`` or ``host:port``. To be called in a running loop.

    ::

        async with cri.connect("unix:///run/containerd/containerd.sock") as runtime:
            print((await runtime.version(v1.VersionRequest())).runtime_name)

    Nothing is sent before the first call. ``timeout``: seconds for a unary call, see ``Client``. A TCP address needs
    ``tls``, or ``insecure=True`` on loopback. Raises InvalidArgument for a wrong address or unreadable certificates.
    """
    return Client.connect(address, tls=tls, insecure=insecure, timeout=timeout)
