"""Attach: a client at the streams of a container's own process."""

from __future__ import annotations

from cri.streaming import StreamIO
from cri.v1 import api_pb2 as v1
from runtimes.docker.containers import Containers
from runtimes.docker.engine import Engine
from runtimes.docker.terminal import NEVER_DETACH
from runtimes.shared.live_container import running_container
from runtimes.shared.multiplex import StreamId
from runtimes.shared.output_pieces import output_pieces
from runtimes.shared.session_input import beside, carry_input, carry_sizes


class Attach:
    """Attach's check and its session."""

    def __init__(self, engine: Engine, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers

    async def check(self, request: v1.AttachRequest) -> None:
        """Raises what makes ``run`` impossible already: NotFound, FailedPrecondition."""
        await running_container(self._containers, request.container_id)

    async def run(self, request: v1.AttachRequest, io: StreamIO) -> None:
        """Until the container ends, or the client's input does; with ``stdin_once`` the latter ends only the
        container's input. The container's own terminal counts, whatever the request says of one."""
        container = await running_container(self._containers, request.container_id)
        config = container["Config"]
        takes_input = request.stdin and config["OpenStdin"]
        params = {"stream": "1", "stdout": "1", "stderr": "1", "detachKeys": NEVER_DETACH}
        if takes_input:
            params["stdin"] = "1"

        async def resize(width: int, height: int) -> None:
            client = self._engine.client
            await self._engine.call(client.resize, request.container_id, height=height, width=width)

        attaching = self._engine.stream(
            "POST", f"/containers/{request.container_id}/attach", params=params, upgrade=True
        )
        async with attaching as stream:
            work = [carry_sizes(io.resizes, resize)]
            if takes_input:
                work.append(carry_input(io.stdin, stream.write, stream.write_eof))
            async with beside(*work):
                async for output, piece in output_pieces(stream, tty=config["Tty"]):
                    await (io.stderr if output is StreamId.STDERR else io.stdout).write(piece)
