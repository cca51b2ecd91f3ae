"""What the SQLite store does with its files: durable, private, owned by one process, and never guessed at."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store import Outcome, open_store
from orchestrator.store.base import StateDamaged, StateFull, StateLocked, StateTooNew, StateUnwritable
from orchestrator.store.sqlite import SqliteStore
from orchestrator.task import Item, State
from tests.orchestrator.test_store import NOW, SPEC, event, task

HOLDER = """
import asyncio, sys
from pathlib import Path
from orchestrator.store import open_store
async def hold():
    async with open_store(Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(hold())
"""


async def test_everything_is_there_after_the_store_was_opened_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        instance = store.instance
        numbers = await store.enqueue([Item(task_id="web", wish=State.SCHEDULED, spec=SPEC)])
        await store.commit(Outcome(task=task("db"), events=(event("db"),)))
    async with open_store(tmp_path) as store:
        assert store.instance == instance
        assert [item.seq for item in await store.claim("w", NOW, 9)] == numbers
        assert await store.get("db") == task("db")
        assert len(await store.history()) == 1


async def test_claims_die_with_the_process(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        numbers = await store.enqueue([Item(task_id="web", wish=State.SCHEDULED)])
        await store.claim("one", NOW, 9)
    async with open_store(tmp_path) as store:
        assert [item.seq for item in await store.claim("two", NOW, 9)] == numbers


async def test_a_second_process_is_refused_and_told_whose_it_is(tmp_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, tmp_path, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        with pytest.raises(StateLocked, match=f"in use by process {holder.pid}"):
            async with open_store(tmp_path):
                pass
    finally:
        holder.kill()
        await holder.wait()
    async with open_store(tmp_path):
        pass  # the kernel freed the dead owner's lock


async def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state") as store:
        await store.commit(Outcome(task=task()))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateTooNew, match="schema 99"):
        async with open_store(tmp_path):
            pass


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + os.urandom(4096)])
async def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(StateDamaged, match=re.escape(str(path)) + ".*move it away"):
        async with open_store(tmp_path):
            pass
    assert path.read_bytes() == content


async def test_somebody_elses_database_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StateDamaged, match="not one of minicri's"):
        async with open_store(tmp_path):
            pass


async def test_a_full_disk_refuses_the_write_and_keeps_what_was(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        assert isinstance(store, SqliteStore)
        await store.commit(Outcome(task=task("web", version=1)))
        await store._database.do(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchall())
        long = task("db", message="x" * 100_000)
        with pytest.raises(StateFull, match="make room"):
            await store.commit(Outcome(task=long, events=(event("db"),)))
        assert await store.get("db") is None
        assert await store.history() == []
        await store._database.do(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchall())
        await store.commit(Outcome(task=long, events=(event("db"),)))
        assert await store.get("db") == long


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        pass
    with pytest.raises(StateUnwritable, match="closed"):
        await store.last_seq()
