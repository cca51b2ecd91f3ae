"""Killing and removing containers of ours, whatever state they are in. All of it may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition, Internal, NotFound
from cri.streaming.transport import cancel
from runtimes.podman.engine import Engine, Params
from runtimes.podman.exit_files import ExitFiles
from runtimes.shared import process_end
from runtimes.shared.descriptors import readable

FOR_EVER = 365 * 86400.0
"""Seconds. Podman answers a wait with nothing, not even a status line, until the container has ended."""

LOOK_AGAIN = 1.0
"""Seconds after which a container is looked at all the same: while something of it lives on (a command in a shared
process namespace) Podman knows that it has ended, and keeps those waiting who asked to be told."""

DELETE_TRIES = 10
DELETE_PAUSE = 0.2
"""Seconds. Where the host is busy Podman finds a mount that it has just taken down still in use, gives the removal up
half way with a 500, and succeeds when it is asked again."""

OVER = ("stopped", "exited")
"""Podman's words for a container that has ended: one that it has not tidied up after yet, and any other."""

_POLL = 0.01
"""Seconds."""

_WAIT = "wait?condition=stopped&condition=exited&interval=20ms"


class Removal:
    """Used by sandboxes and containers alike."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._exit_files = ExitFiles()
        self.running: Callable[[str], AbstractContextManager[int | None]] = lambda container_id: nullcontext()
        """See ``Ends.running``."""

    @asynccontextmanager
    async def ended(self, container_id: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """See ``stopping.Ending``; a container that does not run has ended."""
        found = await self._engine.inspect("containers", container_id)
        with self._process(found) as process:
            yield lambda: self._wait(container_id, process)

    async def signal(self, container_id: str, signal: str) -> None:
        """Raises NotFound, and FailedPrecondition for one that does not run."""
        await self._engine.post(f"/containers/{container_id}/kill", params={"signal": signal})

    async def kill(self, container_id: str) -> None:
        """SIGKILL, and return once it is dead. One that is not running, or gone, is fine; a paused one is resumed."""
        with self.running(container_id) as process:
            if process is not None:
                await self._kill_process(container_id, process)
                return
        found = await self._engine.inspect("containers", container_id)
        if found is not None:
            await self.kill_found(found)

    async def _kill_process(self, container_id: str, process: int) -> None:
        """``kill`` of a container that runs, and is not paused, by the handle of its first process."""
        try:
            # Not by a signal: so the service tidies up itself, before the process that the monitor starts for it has
            # begun. That one would contend with the removal, and all removals of a sandbox wait for the slowest.
            await self._engine.post(f"/containers/{container_id}/stop", params={"timeout": 0, "ignore": True})
            return
        except NotFound:
            return
        except (FailedPrecondition, Internal):
            # It has ended meanwhile, or takes longer than Podman cares to wait.
            pass
        try:
            await self.signal(container_id, "KILL")
        except (NotFound, FailedPrecondition):
            return
        await self._wait(container_id, process)

    async def kill_found(self, found: Mapping[str, Any]) -> None:
        """``kill`` of an inspected container."""
        container_id, state = found["Id"], found["State"]
        if state["Status"] in OVER:
            return
        with self._process(found) as process:
            try:
                # A frozen process takes no signal, and Podman says all the same that it has.
                if state["Paused"]:
                    await self._engine.post(f"/containers/{container_id}/unpause")
                await self.signal(container_id, "KILL")
            except (NotFound, FailedPrecondition):
                return
            await self._wait(container_id, process)

    async def kill_all(self, container_ids: Iterable[str]) -> None:
        """``kill`` all at once. The first failure is raised after every kill was tried."""
        await _all(self.kill(container_id) for container_id in container_ids)

    async def remove(self, container_id: str) -> None:
        """Kill and remove with anonymous volumes. One that is gone, or going, is fine."""
        await self.kill(container_id)
        await self._delete(container_id)

    async def remove_found(self, found: Mapping[str, Any]) -> None:
        """``remove`` of an inspected container."""
        await self.kill_found(found)
        await self._delete(found["Id"])

    async def remove_ended(self, container_id: str) -> None:
        """``remove`` of a container that does not run."""
        await self._delete(container_id)

    async def _delete(self, container_id: str) -> None:
        await self.delete(f"/containers/{container_id}", {"force": True, "volumes": True, "timeout": 0})

    async def delete(self, path: str, params: Params) -> None:
        """Have the engine delete what is at ``path``; nothing there is fine."""
        for left in reversed(range(DELETE_TRIES)):
            try:
                await self._engine.delete(path, params=params)
            except NotFound:
                return
            except Internal:
                if not left:
                    raise
                await asyncio.sleep(DELETE_PAUSE)  # nothing tells when a mount is no longer in use
            else:
                return

    async def remove_all(self, container_ids: Iterable[str]) -> None:
        """``remove`` all at once. The first failure is raised after every removal was tried."""
        await _all(self.remove(container_id) for container_id in container_ids)

    async def resume(self, container_id: str) -> bool:
        """Resume a paused container; False for one that is not paused, which the engine refuses to resume."""
        try:
            found = await self._engine.get(f"/containers/{container_id}/json")
            if not found["State"]["Paused"]:
                return False
            await self._engine.post(f"/containers/{container_id}/unpause")
        except (NotFound, FailedPrecondition):
            return False
        return True

    def _process(self, found: Mapping[str, Any] | None) -> AbstractContextManager[int | None]:
        """A handle of the first process of an inspected container; None where it is not to be seen from here."""
        if found is None or not self._engine.is_local:
            return nullcontext()
        self._exit_files.learn(int(found["State"].get("ConmonPid") or 0))
        return process_end.held(int(found["State"].get("Pid") or 0), found["Id"])

    async def _wait(self, container_id: str, process: int | None) -> None:
        """Until it has ended, or is gone. Raises Unavailable when the service goes away meanwhile."""
        if process is None:
            await self._wait_for_engine(container_id)
            return
        # Podman tells those who wait when it has tidied up as well, which takes as long as all the rest.
        await readable(process)
        if await self._exit_files.noted(container_id):
            return
        while (found := await self._engine.inspect("containers", container_id)) is not None:
            state = found["State"]
            if state["Status"] in OVER or not _lives(state["ConmonPid"]):
                return
            await asyncio.sleep(_POLL)  # nothing tells when the monitor has noted the end

    async def _wait_for_engine(self, container_id: str) -> None:
        # Podman's wait asks what is, not what happens: it may begin after the signal and misses nothing.
        asking = asyncio.ensure_future(self._ask(container_id))
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=LOOK_AGAIN)
                if not asking.done() and await self._has_ended(container_id):
                    return
            asking.result()
        finally:
            await cancel(asking)

    async def _ask(self, container_id: str) -> None:
        try:
            async with self._engine.stream("POST", f"/containers/{container_id}/{_WAIT}", patience=FOR_EVER) as answer:
                async for _ in answer.chunks():
                    return
        except NotFound:
            return

    async def _has_ended(self, container_id: str) -> bool:
        found = await self._engine.inspect("containers", container_id)
        return found is None or found["State"]["Status"] in OVER


def _lives(pid: int) -> bool:
    return Path("/proc", str(pid)).exists()


async def _all(work: Iterable[Any]) -> None:
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
