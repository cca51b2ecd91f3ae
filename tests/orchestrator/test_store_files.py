"""What the SQLite store does with its files: durable, private, owned by one process, and never guessed at."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cri.folders import StateLocked
from orchestrator.store import Outcome, open_store
from orchestrator.store.base import StateDamaged, StateFull, StateTooNew, StateUnwritable
from orchestrator.store.database import connect
from orchestrator.store.sqlite import SqliteStore
from orchestrator.task import Item, State
from tests.orchestrator.test_store import NOW, SPEC, event, task

HOLDER = """
import asyncio, sys
from collections import Counter
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


async def test_the_journal_is_a_wal_that_is_flushed_at_every_commit(tmp_path: Path) -> None:
    connection = connect(tmp_path / "state.db")
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    finally:
        connection.close()


async def test_after_a_kill_each_item_is_in_the_queue_or_in_the_db_and_never_in_both(tmp_path: Path) -> None:
    dice = random.Random(5)
    said: list[list[str]] = []
    for _ in range(6):
        said += await _life_of_a_writer(tmp_path, answers=dice.randint(1, 200))
        async with open_store(tmp_path) as store:
            waiting = {item.task_id for item in await store.claim("look", NOW, 1000)}
            known = {one.id for one in await store.list()}
            told = Counter(one.task_id for one in await store.history(limit=100_000))
        assert not waiting & known
        assert {name for what, name in said if what == "queued"} <= waiting | known
        assert {name for what, name in said if what == "written"} <= known
        assert told == dict.fromkeys(known, 2)  # new and Pending, then Scheduled


async def _life_of_a_writer(folder: Path, answers: int) -> list[list[str]]:
    """What it said before it was killed, right after so many answers and in the middle of the next call."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.orchestrator.writer", folder, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert writer.stdout is not None
    lines = [await writer.stdout.readline() for _ in range(answers)]
    writer.kill()
    lines += (await writer.stdout.read()).splitlines()
    await writer.wait()
    return [line.decode().split() for line in lines if line.count(b" ") == 1]


async def test_a_history_that_may_be_shorter_now_is_cut_with_the_next_line(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.commit(Outcome(events=(event(),) * 10))
    async with open_store(tmp_path, history=4) as store:
        await store.commit(Outcome(events=(event(),)))
        assert [one.seq for one in await store.history()] == [8, 9, 10, 11]


async def test_a_record_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("INSERT INTO tasks (id, version, record) VALUES ('web', 1, '{}')")
        connection.commit()
    with pytest.raises(StateDamaged, match=r"(?s)state\.db.*move it away"):
        async with open_store(tmp_path):
            pass


@pytest.mark.parametrize(("version", "lacks"), [(1, ("declarations", "images")), (2, ("images",))])
async def test_what_an_older_version_wrote_is_taken_over(tmp_path: Path, version: int, lacks: tuple[str, ...]) -> None:
    known = replace(task(), created_at=NOW)
    async with open_store(tmp_path) as store:
        await store.commit(Outcome(task=known))
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        for table in lacks:
            connection.execute(f"DROP TABLE {table}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
    async with open_store(tmp_path) as store:
        assert await store.get("web") == known
        assert await store.pulled_images() == []
        assert [one.name for one in await store.declarations()] == (["web"] if version == 1 else [])
