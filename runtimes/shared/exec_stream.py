"""Exec: a command whose streams are a client's."""

from __future__ import annotations

from cri.errors import InvalidArgument
from cri.streaming import StreamIO
from cri.v1 import api_pb2 as v1
from runtimes.shared.commands import Commands
from runtimes.shared.session_input import beside, carry_input, carry_sizes


class ExecStream:
    """Exec's check and its session."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def check(self, request: v1.ExecRequest) -> None:
        """Raises what makes ``run`` impossible already: NotFound, FailedPrecondition, InvalidArgument."""
        if not request.cmd:
            raise InvalidArgument("cmd is empty: name the program to run and its arguments")
        await self._commands.check(request.container_id)

    async def run(self, request: v1.ExecRequest, io: StreamIO) -> int:
        """The exit code. Cancelling it kills the command, children included."""
        running = self._commands.running(request.container_id, request.cmd, stdin=request.stdin, tty=request.tty)
        async with running as command:
            # A terminal's input has no end: an engine would hang up, and the command would run on unseen.
            end_input = (lambda: None) if request.tty else command.write_eof
            async with beside(carry_input(io.stdin, command.write, end_input), carry_sizes(io.resizes, command.resize)):
                await command.copy_output(io.stdout.write, io.stderr.write, tty=request.tty)
                return await command.wait()
