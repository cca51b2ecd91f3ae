"""A StreamHandler that does what a test tells it to, and a server in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cri.streaming import DuplexStream, StreamIO
from cri.v1 import api_pb2 as v1

T = TypeVar("T")

RunExec = Callable[[v1.ExecRequest, StreamIO], Awaitable[int]]
RunAttach = Callable[[v1.AttachRequest, StreamIO], Awaitable[None]]
RunForward = Callable[[str, int, DuplexStream], Awaitable[None]]


async def _unexpected(*_: object) -> None:
    raise AssertionError("the test expected no such call")


class Handler:
    """Knows how each of its calls ended: ``ends`` has a name for each."""

    def __init__(
        self,
        exec: RunExec | None = None,  # noqa: A002 - the RPC's name
        attach: RunAttach | None = None,
        port_forward: RunForward | None = None,
    ) -> None:
        self._exec = exec
        self._attach = attach or _unexpected
        self._port_forward = port_forward or _unexpected
        self.begun = asyncio.Event()
        self.ends: asyncio.Queue[str] = asyncio.Queue()

    async def exec(self, request: v1.ExecRequest, io: StreamIO) -> int:
        assert self._exec is not None
        return await self._watched(self._exec(request, io))

    async def attach(self, request: v1.AttachRequest, io: StreamIO) -> None:
        await self._watched(self._attach(request, io))

    async def port_forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        await self._watched(self._port_forward(sandbox_id, port, stream))

    async def _watched(self, work: Awaitable[T]) -> T:
        self.begun.set()
        try:
            result = await work
        except asyncio.CancelledError:
            self.ends.put_nowait("cancelled")
            raise
        except Exception as error:
            self.ends.put_nowait(type(error).__name__)
            raise
        self.ends.put_nowait("finished")
        return result


async def forever(*_: object) -> int:
    """Until cancelled."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")


async def forever_forwarding(*_: object) -> None:
    await forever()


async def echo(request: v1.ExecRequest, io: StreamIO) -> int:
    """Standard input to standard output, until its end."""
    async for chunk in io.stdin:
        await io.stdout.write(chunk)
    return 0


async def echo_connection(sandbox_id: str, port: int, stream: DuplexStream) -> None:
    """What comes, with the port before it; ends as the client does."""
    await stream.write(f"{sandbox_id}:{port} ".encode())
    while chunk := await stream.read():
        await stream.write(chunk)
    await stream.close_write()


def exits(code: int, stdout: bytes = b"", stderr: bytes = b"") -> RunExec:
    async def run(request: v1.ExecRequest, io: StreamIO) -> int:
        await io.stdout.write(stdout)
        await io.stderr.write(stderr)
        return code

    return run


def exec_request(
    *, stdin: bool = False, stdout: bool = True, stderr: bool = False, tty: bool = False
) -> v1.ExecRequest:
    return v1.ExecRequest(container_id="c", cmd=["sh"], stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
