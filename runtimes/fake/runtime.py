"""``FakeRuntime``: the script in front of the engine. Every RPC passes it, whichever way it came."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Self

from google.protobuf.message import Message

from cri.errors import Unavailable
from cri.rpc import RPCS, Rpc
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.fake.clock import Clock, RealClock
from runtimes.fake.config import FakeConfig
from runtimes.fake.engine import Engine
from runtimes.fake.program_table import Programs
from runtimes.fake.programs import default_programs
from runtimes.fake.script import Script
from runtimes.fake.world import World
from runtimes.shared.inflight import InFlight
from runtimes.shared.names import sandbox_name


def _makes(request: Message) -> str:
    """The name of what the request makes; CRI: the same request again joins the one in flight."""
    match request:
        case v1.RunPodSandboxRequest():
            return sandbox_name(request.config.metadata)
        case v1.CreateContainerRequest():
            metadata = request.config.metadata
            return f"container {metadata.name!r}, attempt {metadata.attempt}, of sandbox {request.pod_sandbox_id}"
    return ""


def _unary(rpc: Rpc) -> Callable[..., Any]:
    async def method(self: FakeRuntime, request: Message) -> Any:
        return await self._call(rpc, request)

    return _named(rpc, method)


def _stream(rpc: Rpc) -> Callable[..., Any]:
    def method(self: FakeRuntime, request: Message) -> AsyncIterator[Any]:
        taken = self._enter(rpc, request)
        # Asked now and not at the first step of the iteration: events are heard from the call on.
        return self._listen(rpc, taken, getattr(self._engine, rpc.attribute)(taken))

    return _named(rpc, method)


def _named(rpc: Rpc, method: Callable[..., Any]) -> Callable[..., Any]:
    method.__name__ = rpc.attribute
    method.__qualname__ = f"FakeRuntime.{rpc.attribute}"
    method.__doc__ = getattr(Runtime, rpc.attribute).__doc__
    return method


class _Scripted:
    """Gives its subclass one method for each row of the table."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        # Before ABCMeta counts what is abstract, so that Runtime's methods are all there.
        for rpc in RPCS:
            setattr(cls, rpc.attribute, _stream(rpc) if rpc.streaming else _unary(rpc))


class FakeRuntime(_Scripted, Runtime):
    """A fake with a world of its own. Make one with ``open``; ``aclose`` ends its world."""

    def __init__(self, world: World) -> None:
        self.world = world
        """What there is, to look at and to meddle with: ``world.container(id).lose()``."""
        self._engine = Engine(world)
        self._making: InFlight[Any] = InFlight()
        self._closed = False

    @classmethod
    def open(
        cls, config: FakeConfig | None = None, *, clock: Clock | None = None, programs: Programs | None = None
    ) -> Self:
        """Needs a running loop. ``programs`` are those that its containers can run, by default the usual ones."""
        return cls(World(config or FakeConfig(), clock or RealClock(), programs or default_programs()))

    @property
    def script(self) -> Script:
        """What goes wrong, and which calls were made."""
        return self.world.script

    def kill_sandbox(self, sandbox_id: str) -> None:
        """The sandbox's own process dies, as by an administrator's hand. CRI: NOTREADY, and the record stays."""
        self._engine.sandboxes.die(sandbox_id)

    async def aclose(self) -> None:
        """Everything goes: processes, sockets, streaming sessions, log files. A fake's containers do not outlive it."""
        self._closed = True
        await self._engine.aclose()

    def _enter(self, rpc: Rpc, request: Message) -> Message:
        """A copy of ``request``, so that what its caller does with it later changes nothing here."""
        if not isinstance(request, rpc.request):
            raise TypeError(f"{rpc.attribute} takes a {rpc.request.__name__}, not {type(request).__name__}")
        if self._closed:
            raise Unavailable("the fake runtime is closed")
        taken: Message = copy.deepcopy(request)
        self.script.record(rpc.name, taken)
        return taken

    async def _call(self, rpc: Rpc, request: Message) -> Any:
        taken = self._enter(rpc, request)
        making = _makes(taken)
        if not making:
            return await self._perform(rpc, taken)
        same = taken.SerializeToString(deterministic=True)
        return await self._making.run(making, same, lambda: self._perform(rpc, taken))

    async def _perform(self, rpc: Rpc, request: Message) -> Any:
        afterwards = await self.script.before(rpc.name, request, self.world.subject)
        answer = await getattr(self._engine, rpc.attribute)(request)
        if afterwards is not None:
            raise afterwards
        return answer

    async def _listen(self, rpc: Rpc, request: Message, answers: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async with aclosing(answers):  # type: ignore[type-var]
            afterwards = await self.script.before(rpc.name, request, self.world.subject)
            async for answer in answers:
                yield answer
            if afterwards is not None:
                raise afterwards
