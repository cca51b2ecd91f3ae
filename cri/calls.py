"""Answering one call: bytes in, the backend's method, bytes out, and every way in which that can fail.

The functions here know a row of the table and an implementation, never an RPC by name. Requests and responses are
parsed and packed here rather than inside gRPC, which would turn broken bytes or a wrong type into UNKNOWN.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from cri.errors import CRIError, DeadlineExceeded, Internal, InvalidArgument, ResourceExhausted, Unavailable
from cri.rpc import MAX_MESSAGE_BYTES, Rpc
from cri.status import to_status

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Observer(Protocol):
    """Who counts calls; ``cri.metrics.RpcMetrics`` is one."""

    def started(self, rpc: Rpc) -> None: ...
    def ended(self, rpc: Rpc, code: grpc.StatusCode, seconds: float) -> None: ...


@dataclass(eq=False)
class _Call:
    """One call that is being answered."""

    rpc: Rpc
    task: asyncio.Task[Any]
    ending: bool = False
    """The server ends it; the caller is told so, instead of seeing its call cancelled for no reason."""


class Calls:
    """The calls in flight, and the door: once ``close`` was called every new one is refused."""

    def __init__(self) -> None:
        self._running: set[_Call] = set()
        self._changed = asyncio.Event()
        self._open = True

    def close(self) -> None:
        self._open = False

    @contextmanager
    def entered(self, rpc: Rpc) -> Iterator[_Call]:
        if not self._open:
            raise Unavailable("the server is shutting down")
        task = asyncio.current_task()
        assert task is not None
        call = _Call(rpc, task)
        self._running.add(call)
        try:
            yield call
        finally:
            self._running.discard(call)
            self._changed.set()

    async def finished(self, *, streaming: bool, within: float) -> None:
        """Wait until no call of that kind is in flight, at most ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                while any(call.rpc.streaming is streaming for call in self._running):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def end(self, *, streaming: bool) -> None:
        """End what is still in flight of that kind: the backend's work is cancelled, the caller sees UNAVAILABLE."""
        for call in self._running:
            if call.rpc.streaming is streaming and not call.ending:
                call.ending = True
                call.task.cancel()


def handlers(
    rpcs: Sequence[Rpc], implementation: object, calls: Calls, observer: Observer | None
) -> list[grpc.GenericRpcHandler]:
    """gRPC's handlers for a table, one for each service in it. Raises TypeError when a method is missing."""
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for rpc in rpcs:
        method = getattr(implementation, rpc.attribute, None)
        if not callable(method):
            raise TypeError(f"{type(implementation).__name__} has no method {rpc.attribute!r} for {rpc.path}")
        services.setdefault(rpc.service, {})[rpc.name] = _handler(rpc, method, calls, observer)
    return [grpc.method_handlers_generic_handler(service, methods) for service, methods in services.items()]


def _handler(
    rpc: Rpc, method: Callable[[Any], Any], calls: Calls, observer: Observer | None
) -> grpc.RpcMethodHandler[Any, Any]:
    async def unary(raw: bytes, context: _Context) -> bytes:
        async def work() -> bytes:
            return _pack(rpc, await method(_parse(rpc, raw)))

        return await _answered(rpc, context, calls, observer, work)

    async def stream(raw: bytes, context: _Context) -> None:
        async def work() -> None:
            async with AsyncExitStack() as stack:
                responses = method(_parse(rpc, raw))
                if hasattr(responses, "aclose"):
                    # A generator that is left alone is closed some time later, by nobody in particular.
                    stack.push_async_callback(responses.aclose)
                async for response in responses:
                    await context.write(_pack(rpc, response))

        await _answered(rpc, context, calls, observer, work)

    if rpc.streaming:
        return grpc.unary_stream_rpc_method_handler(stream)
    return grpc.unary_unary_rpc_method_handler(unary)


async def _answered(
    rpc: Rpc, context: _Context, calls: Calls, observer: Observer | None, work: Callable[[], Awaitable[_T]]
) -> _T:
    """What ``work`` returns; when it fails, the call ends with the status that says so. Counts either way."""
    code = grpc.StatusCode.OK
    begun = perf_counter()
    if observer is not None:
        observer.started(rpc)
    try:
        try:
            with calls.entered(rpc) as call:
                return await _cancellable(call, work)
        except Exception as error:
            failure = _failure(rpc, error)
            code = failure.code
            status = to_status(failure)
            await context.abort(failure.code, status.details or "", status.trailing_metadata or ())
            raise  # never reached: abort raises
    except asyncio.CancelledError:
        code = grpc.StatusCode.CANCELLED
        raise
    finally:
        if observer is not None:
            observer.ended(rpc, code, perf_counter() - begun)


async def _cancellable(call: _Call, work: Callable[[], Awaitable[_T]]) -> _T:
    """Tells three cancellations apart: the caller gave up, the server ends the call, or the backend let one out."""
    try:
        return await work()
    except asyncio.CancelledError as error:
        if call.ending:
            call.task.uncancel()
            raise Unavailable(f"{call.rpc.name} was ended: the server is shutting down") from error
        if call.task.cancelling():
            raise
        # Left as it is, the caller would never get an answer.
        raise RuntimeError("CancelledError escaped from the backend although nobody cancelled the call") from error


def _failure(rpc: Rpc, error: Exception) -> CRIError:
    """What the caller is told. Everything that is not a CRIError is a bug and leaves its traceback in the log."""
    if isinstance(error, CRIError):
        return error
    if isinstance(error, TimeoutError):
        logger.warning("%s ran into a time limit that the backend did not translate", rpc.name, exc_info=error)
        return DeadlineExceeded(f"{rpc.name}: the engine did not answer in the time the backend gives it")
    logger.error("%s failed because of a bug", rpc.name, exc_info=error)
    return Internal(f"{rpc.name} failed because of a bug ({type(error).__name__}); the server's log has the traceback")


def _parse(rpc: Rpc, raw: bytes) -> Message:
    try:
        return rpc.request.FromString(raw)
    except DecodeError as error:
        raise InvalidArgument(f"the request of {rpc.name} is not a valid {rpc.request.DESCRIPTOR.full_name}") from error


def _pack(rpc: Rpc, response: object) -> bytes:
    if not isinstance(response, rpc.response):
        raise TypeError(f"{rpc.attribute} answered {type(response).__name__} instead of {rpc.response.__name__}")
    packed = response.SerializeToString()
    if len(packed) > MAX_MESSAGE_BYTES:
        raise ResourceExhausted(
            f"the response of {rpc.name} has {len(packed)} bytes; {MAX_MESSAGE_BYTES} is the most a message may have;"
            " narrow the filter, or use the Stream RPC of the same list"
        )
    return packed
