"""ExecSync, and what is prepared for Exec, Attach and PortForward before their URLs are used."""

from __future__ import annotations

from cri import validation
from cri.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.fake.pipes import closed_pipe
from runtimes.fake.process import Streams
from runtimes.fake.streams import Streaming, running
from runtimes.fake.world import World
from runtimes.shared.kept_output import KeptOutput, fitting
from runtimes.shared.streaming_config import streaming_server


class Commands:
    """Commands in running containers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._server = streaming_server(Streaming(world), world.config)

    async def aclose(self) -> None:
        """End the streaming sessions."""
        await self._server.aclose()

    async def exec_sync(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        """CRI: on a timeout the process dies with all its children. One that it left in the background lives on."""
        container = self._world.container(validation.require("container_id", request.container_id))
        if not request.cmd:
            raise InvalidArgument("cmd is required and was empty")
        if request.timeout < 0:
            raise InvalidArgument(f"timeout: {request.timeout} is negative; 0 is without limit")
        stdout, stderr = KeptOutput(), KeptOutput()
        process = container.exec(request.cmd, Streams(closed_pipe(), stdout, stderr))
        try:
            if not request.timeout:
                await process.wait()
            elif not await self._world.clock.within(process.exited, request.timeout):
                raise DeadlineExceeded(
                    f"{request.cmd[0]!r} did not end within {request.timeout} s and was killed",
                    details={"container_id": container.id},
                )
        finally:
            if not process.exited.done():
                process.kill_tree()
        kept_stdout, kept_stderr = fitting(bytes(stdout), bytes(stderr))
        return v1.ExecSyncResponse(stdout=kept_stdout, stderr=kept_stderr, exit_code=process.exited.result())

    async def exec_url(self, request: v1.ExecRequest) -> str:
        """Raises NotFound, FailedPrecondition, InvalidArgument."""
        if not request.cmd:
            raise InvalidArgument("cmd is required and was empty")
        running(self._world, validation.require("container_id", request.container_id))
        return await self._server.exec_url(request)

    async def attach_url(self, request: v1.AttachRequest) -> str:
        """Raises NotFound, FailedPrecondition, InvalidArgument."""
        container = running(self._world, validation.require("container_id", request.container_id))
        if request.tty != container.config.tty:
            kind = "a" if container.config.tty else "no"
            raise InvalidArgument(f"tty: container {container.id} has {kind} terminal, and an attach has to agree")
        if request.stdin and not container.config.stdin:
            raise FailedPrecondition(f"container {container.id} was created without stdin: attach to its output only")
        return await self._server.attach_url(request)

    async def port_forward_url(self, request: v1.PortForwardRequest) -> str:
        """Raises NotFound, FailedPrecondition, InvalidArgument."""
        sandbox = self._world.sandbox(validation.require("pod_sandbox_id", request.pod_sandbox_id))
        if sandbox.state != v1.SANDBOX_READY:
            raise FailedPrecondition(f"sandbox {sandbox.id} is not ready: nothing in it can be reached")
        return await self._server.port_forward_url(request)
