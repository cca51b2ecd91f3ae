"""The streams of containers that take input without a terminal, held open from one client to the next.

Podman's monitor closes a container's input as soon as any connection to its streams is gone, one that only listens
included. So there is one connection a container, which all clients share, and which lasts as long as the container or
this runtime.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from cri.errors import CRIError
from cri.streaming.transport import cancel
from runtimes.podman import engine_words
from runtimes.podman.engine import Engine, Params
from runtimes.shared.engine_stream import EngineStream
from runtimes.shared.multiplex import StreamId
from runtimes.shared.output_pieces import output_pieces

Take = Callable[[StreamId, bytes], Awaitable[None]]
"""What a client does with a piece of output. The slowest client sets the pace of all."""


class HeldStream:
    """One container's streams."""

    def __init__(self, stream: EngineStream) -> None:
        self._stream = stream
        self._clients: dict[asyncio.Future[None], Take] = {}

    async def write(self, data: bytes) -> None:
        """To the container's input. Raises Unavailable once nobody reads any more."""
        await self._stream.write(data)

    def write_eof(self) -> None:
        """The container's input has ended."""
        self._stream.write_eof()

    @contextmanager
    def client(self, take: Take) -> Iterator[asyncio.Future[None]]:
        """Hand the output to ``take`` from now on. What is yielded is done when there is no more, or when ``take`` or
        the engine fails."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._clients[over] = take
        try:
            yield over
        finally:
            self._clients.pop(over, None)
            over.cancel()

    async def copy(self) -> None:
        """Until the container has ended. Raises what reading raises."""
        async for output, piece in output_pieces(self._stream, tty=False):
            if not engine_words.is_torn(piece):
                await asyncio.gather(*(self._hand_out(over, output, piece) for over in tuple(self._clients)))

    async def _hand_out(self, over: asyncio.Future[None], output: StreamId, piece: bytes) -> None:
        try:
            await self._clients[over](output, piece)
        except (CRIError, OSError) as error:
            self._clients.pop(over, None)
            if not over.done():
                over.set_exception(error)

    def end(self, error: CRIError | None) -> None:
        """Let the clients go: the container has ended, or the engine failed."""
        for over in self._clients:
            if not over.done():
                over.set_exception(error) if error is not None else over.set_result(None)


class HeldStreams:
    """Owns the connections, until ``aclose``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[str, asyncio.Future[HeldStream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def of(self, container_id: str) -> HeldStream:
        """The streams of a container that runs. Raises what opening them raises."""
        opening = self._held.get(container_id)
        if opening is None:
            opening = self._held[container_id] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._hold(container_id, opening), name=f"podman-streams-{container_id[:12]}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(opening)

    async def aclose(self) -> None:
        """Close all. Podman ends the inputs of their containers."""
        await cancel(*self._tasks)

    async def _hold(self, container_id: str, opening: asyncio.Future[HeldStream]) -> None:
        params: Params = {"stream": True, "stdin": True, "stdout": True, "stderr": True, "detachKeys": ""}
        path = f"/containers/{container_id}/attach"
        held: HeldStream | None = None
        failure: CRIError | None = None
        try:
            async with self._engine.stream("POST", path, params=params, upgrade=True) as stream:
                held = HeldStream(stream)
                opening.set_result(held)
                await held.copy()
        except CRIError as error:
            failure = error
        finally:
            del self._held[container_id]
            if held is not None:
                held.end(failure)
            elif failure is not None:
                opening.set_exception(failure)
            else:
                opening.cancel()
