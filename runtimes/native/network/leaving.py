"""Links of sandboxes on their way out. The kernel takes tens of milliseconds to end a link, and no longer to end many:
so nobody waits for it, and they go in batches.
"""

from __future__ import annotations

import asyncio
import logging

from cri.errors import CRIError
from runtimes.native.database import Database
from runtimes.native.network import leases
from runtimes.native.network.host import HostNetwork
from runtimes.native.network.leases import AttachmentRow
from runtimes.native.network.namespaces import in_own_thread
from runtimes.shared.inflight import uninterrupted

IDLE = 2.0
"""Seconds for which the default network stays without a sandbox: to make it anew takes longer than to connect one."""

DEFAULT = ""

_log = logging.getLogger(__name__)


class Leaving:
    """Owns a task, as long as there is something to do. To be closed."""

    def __init__(self, host: HostNetwork, database: Database) -> None:
        self._host = host
        self._database = database
        self._queue: list[AttachmentRow] = []
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """See everything out, and the networks that nothing is on."""
        await self.settle()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
            await self.remove_unused([DEFAULT])

    def add(self, row: AttachmentRow) -> None:
        """``row`` is noted as leaving. It is forgotten once its link is gone."""
        self._queue.append(row)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def settle(self) -> None:
        """Wait until all that were added are gone, or have failed to go."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def drop(self, rows: list[AttachmentRow]) -> None:
        """See these out now. Raises OSError, CRIError."""
        await uninterrupted(in_own_thread(lambda: self._host.drop_links([row.link for row in rows])))
        with self._database.write() as connection:
            leases.forget(connection, [row.sandbox_id for row in rows])
        networks = {row.network for row in rows}
        await self.remove_unused(networks - {DEFAULT})
        if DEFAULT in networks:
            self._remove_later()

    async def _run(self) -> None:
        while self._queue:
            rows, self._queue = self._queue, []
            try:
                await self.drop(rows)
            except (OSError, CRIError) as error:
                # They are noted as leaving, so that the next look at what a crash left removes them.
                _log.warning("links of %d sandboxes were left behind: %s", len(rows), error)

    def _remove_later(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE, self._expire)

    def _expire(self) -> None:
        self._idle = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._remove_default())
        else:
            self._remove_later()

    async def _remove_default(self) -> None:
        try:
            await self.remove_unused([DEFAULT])
        except (OSError, CRIError) as error:
            _log.warning("the default network was left behind: %s", error)
        await self._run()

    async def remove_unused(self, names: set[str] | list[str]) -> None:
        """Remove the networks of these names that nothing is on. Raises OSError, CRIError."""
        if names:
            await in_own_thread(lambda: self._host.remove_unused(names))
