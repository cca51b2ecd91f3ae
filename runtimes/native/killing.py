"""Ending the processes of containers, without a program's help: a signal to the first one, and waiting for its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cri.errors import FailedPrecondition, NotFound
from runtimes.native import cgroup_tree
from runtimes.native.ends import Ends
from runtimes.native.oci_runtime import OciRuntime
from runtimes.native.records import ContainerRecord, Phase, Records
from runtimes.shared import processes, signals

RuntimeOf = Callable[[ContainerRecord], OciRuntime]

PATIENCE = 30.0
"""Seconds after which a container that was killed and does not end is killed again, with all that is in its cgroup."""


class Killing:
    """See ``stopping.Ending``."""

    def __init__(self, records: Records, ends: Ends, runtime_of: RuntimeOf) -> None:
        self._records = records
        self._ends = ends
        self._runtime_of = runtime_of

    @asynccontextmanager
    async def ended(self, container_id: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        yield lambda: self._ends.wait(container_id)

    async def resume(self, container_id: str) -> None:
        record = self._records.containers.get(container_id)
        if record is None or record.phase is not Phase.RUNNING:
            return
        if cgroup_tree.is_frozen(cgroup_tree.from_text(record.cgroup)):
            await self._runtime_of(record).resume(container_id)

    async def signal(self, container_id: str, signal: str) -> None:
        record = self._records.containers.get(container_id)
        if record is None:
            raise NotFound(f"no container has the id {container_id!r}")
        if record.phase is not Phase.RUNNING or not _send(record, signals.number_of(signal)):
            raise FailedPrecondition(f"container {container_id} does not run")

    async def kill(self, container_id: str) -> None:
        await self.resume(container_id)
        record = self._records.containers.get(container_id)
        if record is None or record.phase is not Phase.RUNNING:
            return
        _send(record, signal.SIGKILL)
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._ends.wait(container_id)
            except TimeoutError:
                cgroup_tree.kill_rest(cgroup_tree.from_text(record.cgroup), record.id)
            else:
                return


def _send(record: ContainerRecord, number: int) -> bool:
    """Signal the first process of a container; False when it has ended."""
    return processes.send(record.pid, number, lambda pid: processes.is_of_container(pid, record.id))
