"""Attach: a client at the streams of a container's own process."""

from __future__ import annotations

import asyncio
from typing import Any

from cri.errors import Unavailable
from cri.streaming import StreamIO
from cri.v1 import api_pb2 as v1
from runtimes.podman import engine_words
from runtimes.podman.containers import Containers
from runtimes.podman.engine import Engine, Params
from runtimes.podman.held_streams import HeldStreams
from runtimes.shared.engine_stream import EngineStream
from runtimes.shared.live_container import running_container
from runtimes.shared.multiplex import StreamId
from runtimes.shared.output_pieces import output_pieces
from runtimes.shared.records import Records
from runtimes.shared.session_input import beside, carry_input, carry_sizes, first_of


class Attach:
    """Attach's check and its session. To be closed."""

    def __init__(self, engine: Engine, containers: Containers, records: Records) -> None:
        self._engine = engine
        self._containers = containers
        self._records = records
        self._held = HeldStreams(engine)

    async def aclose(self) -> None:
        """Let go of the streams of containers."""
        await self._held.aclose()

    async def check(self, request: v1.AttachRequest) -> None:
        """Raises what makes ``run`` impossible already: NotFound, FailedPrecondition."""
        await running_container(self._containers, request.container_id)

    async def run(self, request: v1.AttachRequest, io: StreamIO) -> None:
        """Until the container ends, or the client's input does; with ``stdin_once`` the latter, or the client's going,
        ends only the container's input. The container's own terminal counts, whatever the request says of one."""
        container_id = request.container_id
        container = await running_container(self._containers, container_id)
        try:
            if container["Config"]["OpenStdin"] and not container["Config"]["Tty"]:
                await self._share(container, io, takes_input=request.stdin)
            else:
                await self._connect(container, io, takes_input=request.stdin)
        except Unavailable:
            # Podman also hangs up so on a client whose input a container left unread when it ended.
            status, _ = await self._containers.status(container_id)
            if status.state == v1.CONTAINER_RUNNING:
                raise

    async def _share(self, container: dict[str, Any], io: StreamIO, *, takes_input: bool) -> None:
        held = await self._held.of(container["Id"])
        is_once = takes_input and self._is_once(container)
        input_over = asyncio.Event()

        async def take(output: StreamId, piece: bytes) -> None:
            await _stream_of(io, output).write(piece)

        with held.client(take) as over:
            work = []
            if takes_input:
                end = held.write_eof if is_once else input_over.set
                work.append(carry_input(io.stdin, held.write, end))
            try:
                async with beside(*work):
                    await first_of(over, input_over)
            finally:
                if is_once:
                    held.write_eof()

    async def _connect(self, container: dict[str, Any], io: StreamIO, *, takes_input: bool) -> None:
        path, config = f"/containers/{container['Id']}", container["Config"]
        tty, takes_input = bool(config["Tty"]), takes_input and bool(config["OpenStdin"])
        params: Params = {"stream": True, "stdout": True, "stderr": not tty, "stdin": takes_input, "detachKeys": ""}
        input_over = asyncio.Event()

        async def resize(width: int, height: int) -> None:
            await self._engine.post(f"{path}/resize", params={"h": height, "w": width})

        async with self._engine.stream("POST", f"{path}/attach", params=params, upgrade=True) as stream:
            work = [carry_sizes(io.resizes, resize)]
            if takes_input:
                work.append(carry_input(io.stdin, stream.write, input_over.set))
            async with beside(*work):
                await first_of(_copy_output(stream, io, tty=tty), input_over)

    def _is_once(self, container: dict[str, Any]) -> bool:
        record = self._records.containers.get(container)
        return record is not None and record.config.stdin_once


async def _copy_output(stream: EngineStream, io: StreamIO, *, tty: bool) -> None:
    async for output, piece in output_pieces(stream, tty=tty):
        if not engine_words.is_torn(piece):
            await _stream_of(io, output).write(piece)


def _stream_of(io: StreamIO, output: StreamId) -> Any:
    return io.stderr if output is StreamId.STDERR else io.stdout
