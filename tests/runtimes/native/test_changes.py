"""What other processes do to the state, as an engine that is there already hears of it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from runtimes.native.database import Database
from runtimes.native.ends import Ends
from runtimes.native.event_source import Changes
from runtimes.shared.container_events import ContainerEvents
from tests.runtimes.pods import until

SCHEMA = "create table if not exists things (id integer)"


class Listener:
    """Counts what it is told, and fails the first time."""

    def __init__(self) -> None:
        self.told = 0

    def catch_up(self) -> None:
        self.told += 1
        if self.told == 1:
            raise FileNotFoundError("it went meanwhile")

    def relist_soon(self) -> None:
        pass


async def test_a_change_that_cannot_be_looked_at_does_not_hide_the_next_one(tmp_path: Path) -> None:
    listener: Any = Listener()
    path = tmp_path / "state.db"
    with closing(Database(path, [SCHEMA])) as ours, closing(Database(path, [SCHEMA])) as theirs:
        changes = Changes(ours, tmp_path, cast(Ends, listener), cast(ContainerEvents, listener))
        changes.start()
        await asyncio.sleep(0)  # it has begun to watch
        for number in (1, 2):
            with theirs.write() as connection:
                connection.execute("insert into things values (?)", (number,))
            await until(lambda number=number: listener.told >= number, "it was told")
        await changes.aclose()
