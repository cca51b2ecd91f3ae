"""One command in a container, besides the container's own: from its start to its exit, or to its death by our hand."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from cri.errors import CRIError, DeadlineExceeded, InvalidArgument, NotFound, Unavailable
from runtimes.podman import engine_words
from runtimes.podman.containers import Containers
from runtimes.podman.engine import Engine
from runtimes.podman.exec_kill import kill_inside
from runtimes.podman.removal import Removal
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

ENDING = 2.0
"""Seconds after its container's end that a command gets to end as well, before it is killed."""

_POLL = 0.02  # seconds; the engine has no event that tells the pid, and tells of the end late

_log = logging.getLogger(__name__)


class ExecProcess:
    """Made by ``ExecProcesses.running``."""

    def __init__(
        self,
        engine: Engine,
        removal: Removal,
        container_id: str,
        program: str,
        exec_id: str,
        mark: str,
        stream: EngineStream,
    ) -> None:
        self._engine = engine
        self._program = program
        self._removal = removal
        self._container_id = container_id
        self._exec_id = exec_id
        self._mark = mark
        self._stream = stream
        self._pid = 0
        self.exit_code: int | None = None
        """Known once the process has ended and somebody asked."""

    async def note_start(self) -> None:
        """Learn its pid while the engine is there to tell it: a command that outlives the engine is killed without."""
        try:
            found = await self._inspect()
        except CRIError as error:
            _log.debug("the engine does not tell the pid of a command: %s", error)
        else:
            self._pid = int(found["Pid"] or 0)

    async def copy_output(self, stdout: Write, stderr: Write, *, tty: bool) -> None:
        """Until the process has ended, or has for ``ENDING`` outlived its container.

        Raises InvalidArgument, in the engine's words, when the command could not be started at all.
        """
        said: list[bytes] | None = None
        first = True
        async with self._while_its_container_lives():
            async for output, piece in self._pieces(tty=tty):
                if first:
                    first = False
                    # The engine's words about a failed start come where the output would.
                    if engine_words.may_be_ours(piece) and not self._pid:
                        said = []
                if engine_words.is_torn(piece):
                    continue
                if said is not None:
                    said.append(piece)
                    continue
                await (stderr if output is StreamId.STDERR else stdout)(piece)
        if said is not None:
            await self._refuse(b"".join(said))
            for piece in said:
                await (stdout if tty else stderr)(piece)

    async def _pieces(self, *, tty: bool) -> AsyncIterator[tuple[StreamId, bytes]]:
        try:
            async for each in output_pieces(self._stream, tty=tty):
                yield each
        except Unavailable as error:
            # Podman also hangs up so on a client whose input the command left unread. Which it was, a look tells.
            _log.debug("the output of a command was cut off: %s", error)

    async def _refuse(self, said: bytes) -> None:
        found = await self._inspect_until(_has_ended)
        why = engine_words.start_failure(said)
        if why and found["ExitCode"] in engine_words.START_CODES:
            self.exit_code = int(found["ExitCode"])
            raise InvalidArgument(f"the command cannot be started: {self._program}: {why}")

    async def wait(self) -> int:
        """The exit code, once ``copy_output`` has returned: 128 + n when signal n ended the process."""
        if self.exit_code is None:
            found = await self._inspect()
            if not _has_ended(found) and not self._is_alive():
                found = await self._inspect_until(_has_ended)
            if not _has_ended(found):
                raise Unavailable("the engine hung up before the command had ended")
            self.exit_code = int(found["ExitCode"])
        return self.exit_code

    async def write(self, data: bytes) -> None:
        """To its stdin, waiting while it is slow to read. Raises Unavailable once nobody reads any more."""
        await self._stream.write(data)

    def write_eof(self) -> None:
        """Its input has ended."""
        self._stream.write_eof()

    async def resize(self, width: int, height: int) -> None:
        """Change its terminal."""
        await self._inspect_until(lambda found: found["Running"] or _has_ended(found))
        await self._engine.post(f"/exec/{self._exec_id}/resize", params={"h": height, "w": width})

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
        if self._pid and not self._mark:
            await asyncio.to_thread(processes.kill_tree, self._pid, self._container_id)
            return
        found = await self._inspect_until(lambda found: _has_ended(found) or found["Pid"])
        if _has_ended(found):
            self.exit_code = int(found["ExitCode"])
        elif self._mark:
            await kill_inside(self._engine, self._container_id, self._mark)
        else:
            await asyncio.to_thread(processes.kill_tree, found["Pid"], self._container_id)

    def _is_alive(self) -> bool:
        return bool(self._pid) and processes.is_of_container(self._pid, self._container_id)

    async def _inspect_until(self, enough: Callable[[Mapping[str, Any]], object]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not enough(found := await self._inspect()):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the engine does not say what became of a command: {found}") from error
        return found

    @asynccontextmanager
    async def _while_its_container_lives(self) -> AsyncIterator[None]:
        """Leave the block, the process being dead, some time after the container has ended: where the container shares
        the sandbox's processes, nobody else ends the command."""
        limit = asyncio.timeout(None)
        try:
            async with limit, beside(self._watch_container(limit)):
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            await self._kill()
            self.exit_code = KILLED

    async def _watch_container(self, limit: asyncio.Timeout) -> None:
        try:
            async with self._removal.ended(self._container_id) as end:
                await end()
        except CRIError as error:
            # An engine that is away ends the command's own connection as well.
            _log.debug("the end of container %s cannot be waited for: %s", self._container_id, error)
            return
        limit.reschedule(asyncio.get_running_loop().time() + ENDING)

    async def _inspect(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await self._engine.get(f"/exec/{self._exec_id}/json")
        except NotFound:
            # With a container the engine forgets its commands, which were killed.
            return {"ExitCode": KILLED, "Pid": 0, "Running": False, "CanRemove": True}
        return found


def _has_ended(found: Mapping[str, Any]) -> bool:
    """``CanRemove``: Podman's only word that tells a command which has ended from one that has not begun."""
    return bool(found["CanRemove"])


class ExecProcesses:
    """The commands in containers of an engine."""

    def __init__(self, engine: Engine, removal: Removal, containers: Containers) -> None:
        self._engine = engine
        self._removal = removal
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
        reachable = self._engine.is_local and processes.may_kill(container["State"]["Pid"], container_id)
        mark = "" if reachable else f"{MARK}={uuid.uuid4().hex}"
        body = {
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": not tty,
            "Tty": tty,
            "DetachKeys": "",  # none: the default ones would swallow ctrl-p
            "Env": [mark] if mark else [],
            "Cmd": list(command),
        }
        made = await self._engine.post(f"/containers/{container_id}/exec", body=body)
        async with AsyncExitStack() as stack:
            yield await uninterrupted(self._start(container_id, command[0], made["Id"], mark, stack, tty=tty))

    async def _start(
        self, container_id: str, program: str, exec_id: str, mark: str, stack: AsyncExitStack, *, tty: bool
    ) -> ExecProcess:
        body = json.dumps({"Detach": False, "Tty": tty}).encode()
        opening = self._engine.stream("POST", f"/exec/{exec_id}/start", body=body, upgrade=True)
        stream = await stack.enter_async_context(opening)
        process = ExecProcess(self._engine, self._removal, container_id, program, exec_id, mark, stream)
        stack.push_async_callback(lambda: uninterrupted(process.end()))
        await process.note_start()
        return process
