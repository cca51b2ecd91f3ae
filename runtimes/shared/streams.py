"""Exec, Attach and PortForward: URLs for clients, and what happens behind them."""

from __future__ import annotations

from typing import Protocol

from cri.streaming import DuplexStream, StreamIO
from cri.v1 import api_pb2 as v1
from runtimes.shared.exec_stream import ExecStream
from runtimes.shared.port_forward import PortForward
from runtimes.shared.streaming_config import StreamingConfig, streaming_server


class Attach(Protocol):
    """A client at the streams of a container's own process, as a backend does it."""

    async def check(self, request: v1.AttachRequest) -> None:
        """Raises what makes ``run`` impossible already: NotFound, FailedPrecondition."""

    async def run(self, request: v1.AttachRequest, io: StreamIO) -> None:
        """Until the container ends, or the client's input does."""


class Streams:
    """Owns the streaming server. What can be known to fail fails when the URL is asked for, not behind it.

    Raises InvalidArgument for an address beyond loopback without TLS, and for certificates that cannot be used.
    """

    def __init__(self, command: ExecStream, attach: Attach, port_forward: PortForward, config: StreamingConfig) -> None:
        self._exec = command
        self._attach = attach
        self._port_forward = port_forward
        self._server = streaming_server(self, config)

    async def aclose(self) -> None:
        """End all sessions."""
        await self._server.aclose()
        self._port_forward.close()

    async def exec_url(self, request: v1.ExecRequest) -> str:
        await self._exec.check(request)
        return await self._server.exec_url(request)

    async def attach_url(self, request: v1.AttachRequest) -> str:
        await self._attach.check(request)
        return await self._server.attach_url(request)

    async def port_forward_url(self, request: v1.PortForwardRequest) -> str:
        await self._port_forward.check(request.pod_sandbox_id)
        return await self._server.port_forward_url(request)

    # --- StreamHandler --------------------------------------------------------------------------------------

    async def exec(self, request: v1.ExecRequest, io: StreamIO) -> int:
        return await self._exec.run(request, io)

    async def attach(self, request: v1.AttachRequest, io: StreamIO) -> None:
        await self._attach.run(request, io)

    async def port_forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        await self._port_forward.run(sandbox_id, port, stream)
