"""Attach: a client at the streams of a container's own process."""

from __future__ import annotations

import asyncio

from cri.errors import FailedPrecondition
from cri.streaming import StreamIO
from cri.streaming.transport import cancel
from cri.v1 import api_pb2 as v1
from runtimes.native.attach_socket import AttachSocket, connect
from runtimes.native.containers import Containers
from runtimes.native.monitor import Monitors
from runtimes.native.places import Places
from runtimes.shared import monitor_log
from runtimes.shared.multiplex import StreamId
from runtimes.shared.session_input import beside, carry_input, carry_sizes, first_of


class Attach:
    """Attach's check and its session. To be closed."""

    def __init__(self, places: Places, monitors: Monitors, containers: Containers) -> None:
        self._places = places
        self._monitors = monitors
        self._containers = containers
        self._lingering: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Let go of the streams of containers."""
        await cancel(*self._lingering)

    async def check(self, request: v1.AttachRequest) -> None:
        """Raises what makes ``run`` impossible already: NotFound, FailedPrecondition."""
        self._containers.running(request.container_id)

    async def run(self, request: v1.AttachRequest, io: StreamIO) -> None:
        """Until the container ends, or the client's input does; with ``stdin_once`` the latter, or the client's going,
        ends only the container's input. The container's own terminal counts, whatever the request says of one."""
        record = self._containers.running(request.container_id)
        config = record.config
        takes_input = request.stdin and config.stdin
        once = config.stdin and config.stdin_once
        over = asyncio.Event()

        async def resize(width: int, height: int) -> None:
            try:
                monitor_log.resize(self._monitors.control(record.id), width, height)
            except OSError as error:
                raise FailedPrecondition(f"the terminal of container {record.id} is gone: {error}") from error

        attached = connect(self._places.container(record.id))
        try:
            work = [carry_sizes(io.resizes, resize)] if config.tty else []
            if takes_input:
                end = attached.write_eof if once and not config.tty else over.set
                work.append(carry_input(io.stdin, attached.write, end))
            async with beside(*work):
                await first_of(_copy_output(attached, io), over)
        finally:
            if once and not takes_input:
                # With this connection the monitor would close the input that another client is still to give.
                self._linger(attached)
            else:
                attached.close()

    def _linger(self, attached: AttachSocket) -> None:
        task = asyncio.create_task(_drain(attached), name="native-lingering-streams")
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)


async def _drain(attached: AttachSocket) -> None:
    """Until the container has ended: what nobody reads would hold it up."""
    try:
        while await attached.read() is not None:
            pass
    finally:
        attached.close()


async def _copy_output(attached: AttachSocket, io: StreamIO) -> None:
    while (piece := await attached.read()) is not None:
        output, data = piece
        await (io.stderr if output is StreamId.STDERR else io.stdout).write(data)
