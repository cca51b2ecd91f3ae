"""The server: any implementation of a table of RPCs at an address, with health, reflection and an orderly end.

Nothing here names an RPC. The orchestrator's own service is served by the same code, alone or beside CRI.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cri.addresses import TcpAddress, UnixAddress, parse
from cri.calls import Calls, Observer, handlers
from cri.errors import AlreadyExists
from cri.rpc import MAX_MESSAGE_BYTES, RPCS, Rpc
from cri.sockets import Placed, place
from cri.tls import Tls, server_credentials

logger = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds that calls in flight get to finish once the server was told to stop."""

STREAM_GRACE = 1.0
"""Seconds for streams, less because an event stream never finishes by itself."""

_CLEANUP_SECONDS = 5.0
"""How long ended calls may take to free what they hold before the server leaves without them."""

_LAST_SECONDS = 0.5
"""How long health and reflection calls may go on after everything else has ended."""

MAX_CONCURRENT = 1000
"""Calls answered at once, streams included; more are refused with RESOURCE_EXHAUSTED."""

_ANY_NUMBER = 2**31 - 1

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Without this two servers can share one port, and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    # Of more than a thousand calls that wait to be looked at, gRPC drops some as CANCELLED, which says that the caller
    # gave up. It is for us to refuse them.
    ("grpc.server.max_pending_requests", _ANY_NUMBER),
    ("grpc.server.max_pending_requests_hard_limit", _ANY_NUMBER),
)


def serve(
    implementation: object,
    address: str,
    *,
    rpcs: Sequence[Rpc] = RPCS,
    also: Iterable[tuple[Sequence[Rpc], object]] = (),
    tls: Tls | None = None,
    insecure: bool = False,
    observer: Observer | None = None,
    grace: float = GRACE,
    max_concurrent: int = MAX_CONCURRENT,
) -> Server:
    """A server of ``implementation`` at ``address``; ``async with`` starts it and, at the end, drains it.

    ::

        async with cri.open("docker") as runtime, cri.serve(runtime, "unix:///run/minicri/minicri.sock") as server:
            await server.run_until_signal()

    ``implementation`` has one method for each row of ``rpcs``; ``also`` adds further (table, implementation) pairs to
    the same address. It stays the caller's: the server never closes it. ``tls`` is required for ``host:port`` unless
    ``insecure`` and loopback; port 0 takes a free one, see ``Server.address``. ``observer`` counts calls
    (``cri.metrics.RpcMetrics``). ``grace`` in seconds.
    """
    return Server(
        [(rpcs, implementation), *also],
        address,
        tls=tls,
        insecure=insecure,
        observer=observer,
        grace=grace,
        max_concurrent=max_concurrent,
    )


class Server:
    """A gRPC server with its place in the file system or on the network. Made by ``serve``."""

    def __init__(
        self,
        services: Sequence[tuple[Sequence[Rpc], object]],
        address: str,
        *,
        tls: Tls | None,
        insecure: bool,
        observer: Observer | None,
        grace: float,
        max_concurrent: int,
    ) -> None:
        self.address = address
        """Where it listens. With port 0 the port that was found, once the server has started."""
        self.grace = grace
        self._services = services
        self._at = parse(address)
        self._credentials = server_credentials(self._at, tls, insecure)
        self._observer = observer
        self._max_concurrent = max_concurrent
        self._calls = Calls()
        self._health = health.aio.HealthServicer()
        self._held = AsyncExitStack()
        self._placed: Placed | None = None
        self._drained: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Who leaves by an error wants to leave; who leaves in order waits for the calls in flight.
        await self.drain(self.grace if kind is None else 0)

    async def start(self) -> None:
        """Listen. Raises AlreadyExists when another server does, InvalidArgument and PermissionDenied as named."""
        names = sorted({rpc.service for rpcs, _ in self._services for rpc in rpcs})
        async with AsyncExitStack() as stack:
            server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=self._max_concurrent)
            stack.push_async_callback(server.stop, _LAST_SECONDS)
            for rpcs, implementation in self._services:
                server.add_generic_rpc_handlers(handlers(rpcs, implementation, self._calls, self._observer))
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
            self._bind(server, stack)
            for name in ("", *names):
                await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
            await server.start()
            self._held = stack.pop_all()
        logger.info("serving %s at %s", ", ".join(names), self.address)

    def _bind(self, server: grpc.aio.Server, stack: AsyncExitStack) -> None:
        if isinstance(self._at, UnixAddress):
            self._placed = place(self._at, lambda birthplace: self._listen(server, birthplace))
            stack.callback(self._placed.remove)
        else:
            self.address = str(TcpAddress(self._at.host, self._listen(server, self._at)))

    def _listen(self, server: grpc.aio.Server, at: UnixAddress | TcpAddress) -> int:
        target = at.target if isinstance(at, UnixAddress) else str(at)
        try:
            if self._credentials is None:
                return server.add_insecure_port(target)
            return server.add_secure_port(target, self._credentials)
        except RuntimeError as error:
            raise AlreadyExists(
                f"address {self._at} cannot be bound: it is taken, not of this machine, or not allowed ({error})"
            ) from error

    async def drain(self, grace: float | None = None) -> None:
        """Stop in order; safe to call twice. ``grace`` in seconds, the server's own when absent.

        New calls are refused with UNAVAILABLE and health says NOT_SERVING; calls in flight get ``grace`` to finish,
        streams at most ``STREAM_GRACE``; what is left is cancelled in the backend and answered with UNAVAILABLE.
        A second call with a smaller ``grace`` shortens the first.
        """
        grace = self.grace if grace is None else grace
        if self._drained is None:
            self._calls.close()
            if self._placed is not None:
                self._placed.remove()  # at once: a successor may take the place while we drain
            self._drained = asyncio.create_task(self._drain(grace), name="drain server")
        elif grace <= 0:
            self._calls.end(streaming=True)
            self._calls.end(streaming=False)
        await asyncio.shield(self._drained)

    async def _drain(self, grace: float) -> None:
        held, self._held = self._held, AsyncExitStack()
        async with held:
            await self._health.enter_graceful_shutdown()
            async with asyncio.TaskGroup() as kinds:
                kinds.create_task(self._let_finish(streaming=True, grace=min(grace, STREAM_GRACE)))
                kinds.create_task(self._let_finish(streaming=False, grace=grace))
        logger.info("stopped serving at %s", self.address)

    async def _let_finish(self, *, streaming: bool, grace: float) -> None:
        await self._calls.finished(streaming=streaming, within=grace)
        self._calls.end(streaming=streaming)
        await self._calls.finished(streaming=streaming, within=_CLEANUP_SECONDS)

    async def run_until_signal(self, *signals: signal.Signals) -> signal.Signals:
        """Serve until SIGTERM or SIGINT (or ``signals``), then drain; a second signal ends what is in flight.

        For a program's main task. Returns the signal, for an exit code that says so.
        """
        loop = asyncio.get_running_loop()
        received: asyncio.Queue[signal.Signals] = asyncio.Queue()
        caught = signals or (signal.SIGTERM, signal.SIGINT)
        for number in caught:
            loop.add_signal_handler(number, received.put_nowait, number)
        try:
            first = await received.get()
            logger.info("%s: draining for at most %g seconds", first.name, self.grace)
            draining = asyncio.create_task(self.drain(), name="drain on signal")
            again = asyncio.create_task(received.get(), name="second signal")
            await asyncio.wait({draining, again}, return_when=asyncio.FIRST_COMPLETED)
            if not draining.done():
                await self.drain(0)
            again.cancel()
            await draining
            return first
        finally:
            for number in caught:
                loop.remove_signal_handler(number)
