"""ExecSync: a command to its end, with what it wrote."""

from __future__ import annotations

import asyncio

from cri.errors import DeadlineExceeded, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.shared.commands import Command, Commands
from runtimes.shared.kept_output import KeptOutput, fitting


class ExecSync:
    """The call of that name."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def run(self, request: v1.ExecSyncRequest) -> v1.ExecSyncResponse:
        """Raises DeadlineExceeded when ``request.timeout`` (seconds, 0 is none) ends before the command, which is
        dead then; InvalidArgument for a command that the container cannot start; NotFound, FailedPrecondition."""
        if not request.cmd:
            raise InvalidArgument("cmd is empty: name the program to run and its arguments")
        if request.timeout < 0:
            raise InvalidArgument(f"timeout: {request.timeout} is negative; 0 is for ever")
        await self._commands.check(request.container_id)
        stdout, stderr = KeptOutput(), KeptOutput()
        command: Command | None = None
        try:
            async with (
                asyncio.timeout(request.timeout or None),
                self._commands.running(request.container_id, request.cmd) as command,
            ):
                await command.copy_output(stdout.write, stderr.write, tty=False)
                await command.wait()
        except TimeoutError as error:
            # Something that the command left in the background may hold its output beyond the command's own end.
            if command is None or command.exit_code is None:
                raise DeadlineExceeded(
                    f"the command {' '.join(request.cmd)!r} did not end within {request.timeout} s and was killed"
                ) from error
        kept_stdout, kept_stderr = fitting(bytes(stdout), bytes(stderr))
        return v1.ExecSyncResponse(stdout=kept_stdout, stderr=kept_stderr, exit_code=command.exit_code or 0)
