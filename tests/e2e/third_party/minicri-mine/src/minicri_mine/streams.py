"""What goes through the URLs. The server behind them speaks SPDY and WebSocket; here there are only bytes."""

from __future__ import annotations

import asyncio

from cri.errors import FailedPrecondition
from cri.runtime import Runtime
from cri.streaming import DuplexStream, StreamIO
from cri.streaming.client import forward_ports, run_command
from cri.v1 import api_pb2 as v1


class MineStreams:
    """A ``StreamHandler``. Each call has a task of its own, which is cancelled when the client goes away."""

    def __init__(self, engine: Runtime) -> None:
        self._engine = engine

    async def exec(self, request: v1.ExecRequest, io: StreamIO) -> int:
        return await _joined((await self._engine.exec(request)).url, request, io)

    async def attach(self, request: v1.AttachRequest, io: StreamIO) -> None:
        await _joined((await self._engine.attach(request)).url, request, io)

    async def port_forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        asked = v1.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port])
        url = (await self._engine.port_forward(asked)).url
        refused: list[str] = []
        async with forward_ports(url, [(0, port)], on_error=lambda _, why: refused.append(why)) as forwarder:
            reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.local_ports[0])
            await stream.splice(reader, writer)
        if refused:
            raise FailedPrecondition(refused[0])


async def _joined(url: str, request: v1.ExecRequest | v1.AttachRequest, io: StreamIO) -> int:
    return await run_command(
        url,
        stdin=io.stdin if request.stdin else None,
        stdout=io.stdout.write if request.stdout else None,
        stderr=io.stderr.write if request.stderr else None,
        sizes=io.resizes if request.tty else None,
        tty=request.tty,
        transport="spdy",
    )
