"""What is left where an engine ended in the middle of making or removing a container, and would stay for ever.

Podman makes a container's storage first, under the container's name, and notes the container when that is done. Where
it is killed in between, the storage stays: no list of containers shows it, and each later creation under that name is
told that the name is in use. The other way round, it removes the storage first and the note then; such a container is
listed as being removed, and cannot be inspected.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from cri.errors import CRIError, NotFound
from runtimes.podman.container_status import nanoseconds
from runtimes.podman.engine import Engine
from runtimes.shared.names import PREFIX

SETTLED = 10.0
"""Seconds after which storage that has no container will never have one: the engine is long done with its creation,
or ended in it. Where it is seen to be younger than the storage, it ended in it."""

FORGOTTEN = 600.0
"""Seconds, as ``SETTLED``, where nobody asks for it: another may be making it, on a host that is very busy."""

LOOK_AGAIN = 0.2
"""Seconds. Nothing tells when somebody else's creation or removal is complete."""

_log = logging.getLogger(__name__)

STORAGE, REMOVING = "storage", "removing"
"""Podman's words for storage without a container, and for a container on its way out."""


class Leftovers:
    """Finishes what was begun."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def clear(self, name: str) -> bool:
        """Make way for a container whose name is in use; whether the name is free now. It is not while another has
        it."""
        deadline = time.monotonic() + SETTLED
        while (row := await self._named(name)) is not None:
            if await self._is_left(row, SETTLED) or time.monotonic() > deadline:
                await self._delete(name)
                return True
            if row["State"] not in (STORAGE, REMOVING):
                return False
            # It may be somebody else's who makes that very container now: a process before us that was killed, say.
            await asyncio.sleep(LOOK_AGAIN)
        return True

    async def sweep(self, *, was_away: bool) -> None:
        """Remove storage of ours that will never have a container: nobody may ever ask for its name again. To be done
        when the engine is met, and when it is back from an absence, which may have been a crash."""
        try:
            await self._engine.facts(anew=was_away)
            await self._sweep()
        except CRIError as error:
            _log.warning("what a crash of the engine left has to wait for its next return: %s", error.message)

    async def _sweep(self) -> None:
        for row in await self._rows():
            ours = row["State"] == STORAGE and any(name.startswith(PREFIX) for name in row["Names"])
            if ours and await self._is_left(row, FORGOTTEN):
                # Not by its name, which may be a container's by now.
                await self._delete(row["Id"])

    async def finish_removal(self, container_id: str) -> bool:
        """Remove the rest of a container that cannot be inspected; whether there was any."""
        wanted = json.dumps({"id": [container_id]})
        rows = await self._engine.get("/containers/json", params={"all": True, "filters": wanted}) or ()
        left = [row for row in rows if row["Id"] == container_id]
        if not left or not await self._is_left(left[0], SETTLED):
            return False
        await self._delete(container_id)
        return True

    async def _named(self, name: str) -> Mapping[str, Any] | None:
        """The row of what has this name: a container, or storage that has none."""
        rows = await self._rows()
        return min((row for row in rows if name in row["Names"]), key=lambda row: row["State"] == STORAGE, default=None)

    async def _rows(self) -> Sequence[Mapping[str, Any]]:
        """All containers, and all storage that has none."""
        return await self._engine.get("/containers/json", params={"all": True, "external": True}) or ()

    async def _is_left(self, row: Mapping[str, Any], settled: float) -> bool:
        """Whether nobody goes on with what was begun."""
        if row["State"] != STORAGE:
            return await self._engine.inspect("containers", row["Id"]) is None
        made = nanoseconds(row["Created"]) / 1e9
        return made < (await self._engine.facts()).process.started or time.time() - made > settled

    async def _delete(self, name_or_id: str) -> None:
        with suppress(NotFound):
            await self._engine.delete(f"/containers/{name_or_id}", params={"force": True, "volumes": True})
