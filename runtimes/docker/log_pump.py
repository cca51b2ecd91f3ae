"""One container's output, from the engine into its log file, from its start to its end and over every interruption."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cri.errors import CRIError, FailedPrecondition, NotFound, Unavailable, Unimplemented
from cri.logs import LogWriter, Record
from cri.v1 import api_pb2 as v1
from runtimes.docker.engine import Engine
from runtimes.docker.engine_time import engine_time
from runtimes.docker.log_entries import FramedEntries, TerminalEntries
from runtimes.shared.claim import Claim
from runtimes.shared.event_watch import EventWatch
from runtimes.shared.log_resume import Resume, read_tail

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
"""Seconds between attempts after a failure that nobody tells the end of: a full disk, a symlink in the way."""

DRAIN_PATIENCE = 10.0
STILL_PATIENCE = 4.0
"""Seconds that an exited container's log may lag behind, in all and without a sign of life, before the end is told all
the same."""

TURN = 256
"""Records after which other tasks get a turn."""

_ALIVE = ("created", "running", "paused", "restarting")

_log = logging.getLogger(__name__)


class LogPump:
    """Follows the engine's log of one container. ``task`` is done when the log is complete."""

    def __init__(
        self,
        engine: Engine,
        watch: EventWatch,
        container_id: str,
        record: v1.CreateContainerRequest,
        driver: str,
        *,
        has_ended: bool = False,
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._id = container_id
        self._tty = record.config.tty
        self._driver = driver
        self._directory = Path(record.sandbox_config.log_directory)
        self.path = self._directory / record.config.log_path
        self._claim: Claim | None = None
        self._is_anothers = False
        self._writer: LogWriter | None = None
        self._has_ended = has_ended
        self._trouble = ""
        self._pause = FIRST_PAUSE
        self._ended_at = 0.0
        self._alive_at = 0.0
        self._has_begun = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def begin(self, limit: asyncio.Semaphore | None = None) -> asyncio.Task[None]:
        """Follow from where the file ends. ``limit`` bounds how many pumps do so at once."""
        self.task = asyncio.create_task(self._run(limit), name=f"docker-log-{self._id[:12]}")
        self._has_begun.set()
        return self.task

    def open(self) -> None:
        """Make the file before there is anything to write. A failure is logged; the pump tries again."""
        try:
            if self._is_ours():
                self._open()
        except OSError as error:
            self._complain(f"its log cannot be written: {error}")

    def reopen(self) -> None:
        """Go on in a fresh file. Raises FailedPrecondition, and makes none, where that is not possible."""
        try:
            if not self._is_ours():
                raise FailedPrecondition(f"another runtime on this host writes the log of container {self._id}")
            self._refuse_escape()
            if self._writer is None:
                self._writer = LogWriter(self.path)
            else:
                self._writer.reopen()
        except OSError as error:
            raise FailedPrecondition(f"the log of container {self._id} cannot be opened again: {error}") from error

    async def drained(self) -> None:
        """Called once the container has exited: return when its log is complete, or is not going to be soon."""
        # The engine may tell of a short life's end before it answers the call that began it.
        await self._has_begun.wait()
        now = asyncio.get_running_loop().time
        self._ended_at = self._ended_at or now()
        while self.task is not None and not self.task.done() and not self.is_late:
            await asyncio.wait({self.task}, timeout=self._due() - now())

    @property
    def is_late(self) -> bool:
        """Whether nobody is to wait for this log: it is another's, it cannot be written or read now, or patience is at
        its end."""
        over = self._ended_at > 0 and asyncio.get_running_loop().time() >= self._due()
        return over or self._is_anothers or bool(self._trouble)

    def _due(self) -> float:
        return min(max(self._ended_at, self._alive_at) + STILL_PATIENCE, self._ended_at + DRAIN_PATIENCE)

    async def aclose(self) -> None:
        """End now, and close the file."""
        self._has_begun.set()  # it never will; nobody is to wait for that
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})
        self._let_go()

    async def _run(self, limit: asyncio.Semaphore | None) -> None:
        try:
            if limit is not None:
                async with limit:
                    await self._follow_to_the_end()
            else:
                await self._follow_to_the_end()
        finally:
            self._let_go()

    def _is_ours(self) -> bool:
        """Another runtime on the same engine may write this log; then that one alone does."""
        self._claim = self._claim or Claim.take(f"log/{self._id}")
        self._is_anothers = self._claim is None
        return self._claim is not None

    async def _follow_to_the_end(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                if await self._copy():
                    return
                if self._has_ended and not self._is_anothers:
                    continue
            except (NotFound, Unimplemented) as error:
                if isinstance(error, Unimplemented):
                    _log.warning(
                        "container %s: the log driver %r keeps no log, so there is none: %s",
                        self._id, self._driver, error.message,
                    )  # fmt: skip
                return
            except CRIError as error:
                if not isinstance(error, Unavailable):
                    self._complain(f"its log cannot be read: {error.message}")
            except OSError as error:
                self._close()
                self._complain(f"its log cannot be written: {error}")
            if loop.time() - began > LONGEST_PAUSE:
                self._pause = FIRST_PAUSE
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            await self._watch.connected()

    async def _copy(self) -> bool:
        """Write what the file lacks, for as long as the engine sends it; whether nothing can follow."""
        if not self._is_ours():
            self._pause = LONGEST_PAUSE
            return False
        follow = not self._has_ended
        self._open()
        resume = Resume(await asyncio.to_thread(read_tail, self.path))
        entries = TerminalEntries() if self._tty else FramedEntries(swallows_line_ends=self._driver != "json-file")
        params = {"follow": str(int(follow)), "stdout": "1", "stderr": "1", "timestamps": "1"}
        if resume.since_ns:
            params["since"] = engine_time(resume.since_ns)
        turn = 0
        async with self._engine.stream("GET", f"/containers/{self._id}/logs", params=params) as answer:
            async for chunk in answer.chunks():
                # A sign of life also where the file has it already: the engine reads long logs from their beginning.
                self._alive_at = asyncio.get_running_loop().time()
                turn += self._write(filter(resume.is_new, entries.feed(chunk)))
                if turn >= TURN:
                    turn = 0
                    await asyncio.sleep(0)
        if follow:
            # The engine lets its followers go before it has stored the last that a container printed.
            self._has_ended = not await self._is_alive()
            return False
        self._write(filter(resume.is_new, entries.end()))
        return True

    def _write(self, records: Iterable[Record]) -> int:
        fresh = list(records)
        if fresh:
            assert self._writer is not None, "a pump that follows has its file open"
            self._writer.write(fresh)
            self._pause = FIRST_PAUSE
            if self._trouble:
                _log.info("container %s: its log goes on", self._id)
                self._trouble = ""
        return len(fresh)

    async def _is_alive(self) -> bool:
        try:
            found: dict[str, Any] = await self._engine.call(self._engine.client.inspect_container, self._id)
        except NotFound:
            return False
        return found["State"]["Status"] in _ALIVE and not found["State"]["Error"]

    def _open(self) -> None:
        if self._writer is None:
            self._refuse_escape()
            self._writer = LogWriter(self.path)

    def _refuse_escape(self) -> None:
        """A symlink below the sandbox's log directory must not lead our writing out of it."""
        if not self.path.parent.resolve().is_relative_to(self._directory.resolve()):
            raise PermissionError(f"{self.path} leads out of {self._directory}")

    def _let_go(self) -> None:
        self._close()
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _complain(self, trouble: str) -> None:
        """Once for each trouble: it may last for days."""
        if trouble != self._trouble:
            _log.warning("container %s: %s; trying again until it works", self._id, trouble)
            self._trouble = trouble
