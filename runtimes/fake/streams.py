"""What happens behind the streaming URLs: simulated processes and connections joined to a client's streams."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from cri.errors import FailedPrecondition, Unavailable
from cri.streaming import DuplexStream, StreamIO
from cri.v1 import api_pb2 as v1
from runtimes.fake.container import Container
from runtimes.fake.pipes import Connection, Pipe, Sink, Terminal, closed_pipe
from runtimes.fake.process import Process, Streams
from runtimes.fake.world import World
from runtimes.shared.session_input import beside, carry_input, carry_sizes

_INTERRUPT, _END_OF_INPUT = b"\x03", b"\x04"


def running(world: World, container_id: str) -> Container:
    """The container, which has to run. Raises NotFound, FailedPrecondition."""
    container = world.container(container_id)
    if not container.running:
        state = v1.ContainerState.Name(container.state)
        raise FailedPrecondition(f"container {container_id} is {state}; this needs a CONTAINER_RUNNING one")
    return container


class Streaming:
    """The ``StreamHandler`` of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def exec(self, request: v1.ExecRequest, io: StreamIO) -> int:
        """Run the command; it dies with its children when the client goes away."""
        stdin = Pipe() if request.stdin else closed_pipe()
        stdout: Sink = Terminal(io.stdout) if request.tty else io.stdout
        streams = Streams(stdin, stdout, stdout if request.tty else io.stderr)
        process = running(self._world, request.container_id).exec(request.cmd, streams, tty=request.tty)
        typed: Sink = _Keyboard(stdin, stdout, process) if request.tty else stdin
        try:
            async with _beside(io, typed, stdin.close, process):
                return await process.wait()
        finally:
            if not process.exited.done():
                process.kill_tree()

    async def attach(self, request: v1.AttachRequest, io: StreamIO) -> None:
        """Join the container's own streams until it ends, or the client's input does; with ``stdin_once`` the latter
        ends only the container's input."""
        container = running(self._world, request.container_id)
        process = container.process
        if process is None:
            raise FailedPrecondition(f"container {container.id} has no process")

        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def leave() -> None:
            """CRI: with ``stdin_once`` the container's input ends with the first client; otherwise it stays open."""
            if not request.stdin:
                return
            if container.config.stdin_once:
                container.stdin.close()
            elif not left.done():
                left.set_result(None)

        container.stdout.attached.append(io.stdout)
        container.stderr.attached.append(io.stderr)
        stdin = container.stdin
        typed: Sink = _Keyboard(stdin, Terminal(io.stdout), process) if request.tty else stdin
        try:
            async with _beside(io, typed, leave, process):
                await asyncio.wait({container.ended, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for output, sink in ((container.stdout, io.stdout), (container.stderr, io.stderr)):
                if sink in output.attached:
                    output.attached.remove(sink)
            leave()

    async def port_forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        """Connect to what listens on the sandbox's port. Raises Unavailable when nothing does."""
        try:
            inside = self._world.sandbox(sandbox_id).endpoint.accept(port)
        except OSError as error:
            raise Unavailable(f"sandbox {sandbox_id}: port {port}: {error.strerror}") from error
        try:
            async with beside(_copy_inwards(stream, inside)):
                while data := await inside.read():
                    await stream.write(data)
                await stream.close_write()
        finally:
            inside.close()


class _Keyboard:
    """What is typed at a session's terminal: it is shown, and Ctrl-C and Ctrl-D mean what they mean."""

    def __init__(self, target: Pipe, screen: Sink, process: Process) -> None:
        self._target = target
        self._screen = screen
        self._process = process

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError once the input has ended."""
        typed, ended, _ = data.replace(b"\r", b"\n").partition(_END_OF_INPUT)
        for index, piece in enumerate(typed.split(_INTERRUPT)):
            if index:
                await self._screen.write(b"^C\n")
                self._process.signal(signal.SIGINT)
            if piece:
                await self._screen.write(piece)
                await self._target.write(piece)
        if ended:
            self._target.close()


def _beside(io: StreamIO, stdin: Sink, end: Callable[[], None], process: Process) -> AbstractAsyncContextManager[None]:
    """The client's input and its terminal's sizes reach ``process`` while the block runs."""

    async def resize(width: int, height: int) -> None:
        process.resize(height, width)

    return beside(carry_input(io.stdin, stdin.write, end), carry_sizes(io.resizes, resize))


async def _copy_inwards(stream: DuplexStream, inside: Connection) -> None:
    try:
        while data := await stream.read():
            await inside.write(data)
    except (BrokenPipeError, ConnectionError):
        return
    inside.outgoing.close()
