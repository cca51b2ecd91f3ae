"""One command in a container, besides the container's own: from its start to its exit, or to its death by our hand."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from cri.errors import CRIError, DeadlineExceeded, FailedPrecondition, NotFound, Unavailable
from runtimes.docker.containers import Containers
from runtimes.docker.engine import Engine
from runtimes.docker.engine_errors import for_failed_command
from runtimes.docker.exec_kill import kill_inside
from runtimes.docker.terminal import NEVER_DETACH
from runtimes.shared import processes
from runtimes.shared.commands import KILLED, Write
from runtimes.shared.engine_stream import EngineStream
from runtimes.shared.exec_kill import MARK
from runtimes.shared.inflight import uninterrupted
from runtimes.shared.live_container import running_container
from runtimes.shared.multiplex import StreamId
from runtimes.shared.output_pieces import output_pieces
from runtimes.shared.session_input import beside

PATIENCE = 10.0
"""Seconds that the engine gets to say under which pid it started a command, or how the command ended."""

ENDING = 4.0
"""Seconds after its container's end that a command's last output may take; the engine waits two of them itself."""

_POLL = 0.02  # seconds; the engine has no event that tells the pid, and tells of the end late

_log = logging.getLogger(__name__)


class ExecProcess:
    """Made by ``ExecProcesses.running``."""

    def __init__(self, engine: Engine, container_id: str, exec_id: str, mark: str, stream: EngineStream) -> None:
        self._engine = engine
        self._container_id = container_id
        self._exec_id = exec_id
        self._mark = mark
        self._stream = stream
        self.exit_code: int | None = None
        """Known once the process has ended and somebody asked."""

    async def copy_output(self, stdout: Write, stderr: Write, *, tty: bool) -> None:
        """Until the process has ended; what it left running may hold its output for two more seconds.

        Raises InvalidArgument, in the engine's words, for a command that cannot be run; FailedPrecondition when the
        engine could not start it for another reason, Unavailable when that was because it went away.
        """
        pieces = output_pieces(self._stream, tty=tty)
        first = True
        async with self._while_its_container_lives():
            async for output, piece in pieces:
                write = stderr if output is StreamId.STDERR else stdout
                # The engine's words about a failed start come where the output would.
                if first and await self._failed_to_start_or(partial(write, piece)):
                    said = piece + b"".join([more async for _, more in pieces])
                    raise for_failed_command(said.decode("utf-8", "replace").strip())
                first = False
                await write(piece)

    async def wait(self) -> int:
        """The exit code, once ``copy_output`` has returned: 128 + n when signal n ended the process."""
        if self.exit_code is not None:
            return self.exit_code
        found = await self._inspect()
        if found["ExitCode"] is None:
            raise Unavailable("the engine hung up before the command had ended")
        if not found["Pid"]:
            raise FailedPrecondition("the command cannot be started, and the engine does not say why")
        self.exit_code = int(found["ExitCode"])
        return self.exit_code

    async def write(self, data: bytes) -> None:
        """To its stdin, waiting while it is slow to read. Raises Unavailable once nobody reads any more."""
        await self._stream.write(data)

    def write_eof(self) -> None:
        """Its input has ended."""
        self._stream.write_eof()

    async def resize(self, width: int, height: int) -> None:
        """Change its terminal. The engine waits with that until the process has started."""
        await self._engine.call(self._engine.client.exec_resize, self._exec_id, height=height, width=width)

    async def end(self) -> None:
        """SIGKILL the process and all that it started, unless it has ended: then ``exit_code`` is known.

        Called when something else went wrong already, so that a failure is only logged.
        """
        try:
            if self.exit_code is None:
                await self._kill()
        except (CRIError, OSError) as error:
            _log.warning("a command in container %s may still run: %s", self._container_id, error)

    async def _kill(self) -> None:
        found = await self._inspect_until(lambda found: found["ExitCode"] is not None or found["Pid"])
        if found["ExitCode"] is None:
            if self._mark:
                await kill_inside(self._engine, self._container_id, self._mark)
                return
            if await asyncio.to_thread(processes.kill_tree, found["Pid"], self._container_id):
                return
            # It has ended by itself, and the engine is busy with the end of another command: it takes two seconds for
            # each that left its output open.
            found = await self._inspect_until(lambda found: found["ExitCode"] is not None)
        self.exit_code = int(found["ExitCode"])

    async def _inspect_until(self, enough: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(PATIENCE):
                while not enough(found := await self._inspect()):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the engine does not say what became of a command: {found}") from error
        return found

    @asynccontextmanager
    async def _while_its_container_lives(self) -> AsyncIterator[None]:
        """Leave the block some time after the container has ended, as the engine may never say that the command has:
        where the container shares the sandbox's processes, the engine ceases to listen before it kills the rest."""
        limit = asyncio.timeout(None)
        try:
            async with limit, beside(self._watch_container(limit)):
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            self.exit_code = KILLED

    async def _watch_container(self, limit: asyncio.Timeout) -> None:
        try:
            async with self._engine.stream("POST", f"/containers/{self._container_id}/wait") as answer:
                async for _ in answer.chunks():
                    break
        except NotFound:
            _log.debug("container %s was removed under a command", self._container_id)
        except CRIError as error:
            # An engine that is away ends the command's own connection as well.
            _log.debug("the end of container %s cannot be waited for: %s", self._container_id, error)
            return
        limit.reschedule(asyncio.get_running_loop().time() + ENDING)

    async def _inspect(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await self._engine.call(self._engine.client.exec_inspect, self._exec_id)
        except NotFound as error:
            if not await self._container_has_ended():
                raise Unavailable("the engine was restarted, and forgot the command") from error
            # With a container the engine forgets its commands, which were killed.
            return {"ExitCode": KILLED, "Pid": -1}
        return found

    async def _container_has_ended(self) -> bool:
        try:
            found = await self._engine.call(self._engine.client.inspect_container, self._container_id)
        except NotFound:
            return True
        return not found["State"]["Running"]

    async def _failed_to_start_or(self, keep: Callable[[], Awaitable[object]]) -> bool:
        """``_failed_to_start``; whoever cancels the look gets what there is. Docker 29 does not answer while it waits
        for the output of a command that has ended, and a failed start it tells of at once."""
        try:
            return await self._failed_to_start()
        except asyncio.CancelledError:
            await keep()
            raise

    async def _failed_to_start(self) -> bool:
        found = await self._inspect()
        return found["ExitCode"] is not None and not found["Pid"]


class ExecProcesses:
    """The commands in containers of an engine."""

    def __init__(self, engine: Engine, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers

    async def check(self, container_id: str) -> None:
        """See ``Commands.check``."""
        await running_container(self._containers, container_id)

    @asynccontextmanager
    async def running(
        self, container_id: str, command: Sequence[str], *, stdin: bool = False, tty: bool = False
    ) -> AsyncIterator[ExecProcess]:
        """See ``Commands.running``."""
        container = await running_container(self._containers, container_id)
        async with _running(self._engine, container, command, stdin=stdin, tty=tty) as process:
            yield process


@asynccontextmanager
async def _running(
    engine: Engine, container: Mapping[str, Any], command: Sequence[str], *, stdin: bool, tty: bool
) -> AsyncIterator[ExecProcess]:
    """Start ``command`` in an inspected ``container``. Leaving the block before its end kills it, children included.

    Raises FailedPrecondition for a container that does not run, or is paused.
    """
    container_id = str(container["Id"])
    reachable = processes.may_kill(container["State"]["Pid"], container_id)
    mark = "" if engine.is_local and reachable else f"{MARK}={uuid.uuid4().hex}"
    made = await engine.call(
        engine.client.exec_create,
        container_id,
        list(command),
        stdin=stdin,
        tty=tty,
        environment=[mark] if mark else None,
        detach_keys=NEVER_DETACH if tty else None,
    )
    body = json.dumps({"Detach": False, "Tty": tty}).encode()
    async with AsyncExitStack() as stack:

        async def start() -> ExecProcess:
            opening = engine.stream("POST", f"/exec/{made['Id']}/start", body=body, upgrade=True)
            stream = await stack.enter_async_context(opening)
            process = ExecProcess(engine, container_id, made["Id"], mark, stream)
            stack.push_async_callback(lambda: uninterrupted(process.end()))
            return process

        yield await uninterrupted(start())
