"""The state file, as several processes share it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition
from runtimes.native.database import VERSION, Database

SCHEMA = "create table if not exists things (name text primary key); create index if not exists n on things (name);"


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return [row["name"] for row in connection.execute("select name from things order by name")]


def put(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.execute("insert into things values (?)", (name,))


def names_elsewhere(path: Path) -> list[str]:
    """As a process sees them that opens the file, and closes it."""
    look = "from tests.runtimes.native.test_database import *; database = Database(Path(sys.argv[1]), [SCHEMA])"
    command = [sys.executable, "-c", f"{look}; print(*names(database)); database.close()", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.db"


def test_what_one_process_wrote_another_reads(path: Path) -> None:
    one, other = Database(path, [SCHEMA]), Database(path, [SCHEMA])
    put(one, "a")
    assert names(other) == ["a"]
    one.close()
    other.close()


def test_a_process_that_has_it_open_twice_loses_nothing_when_another_one_closes_it(path: Path) -> None:
    database, again = Database(path, [SCHEMA]), Database(path, [SCHEMA])
    assert names_elsewhere(path) == []
    put(database, "a")
    assert names_elsewhere(path) == ["a"]
    again.close()
    database.close()


def test_a_query_alone_sees_what_others_wrote_and_holds_nobody_up(path: Path) -> None:
    one, other = Database(path, [SCHEMA]), Database(path, [SCHEMA])
    query = "select name from things where name = ?"
    assert one.rows(query, ["a"]) == []
    put(other, "a")
    assert [row["name"] for row in one.rows(query, ["a"])] == ["a"]
    one.close()
    other.close()


def test_a_damaged_state_is_said_to_be(path: Path) -> None:
    database = Database(path, [SCHEMA])
    for number in range(1000):
        put(database, f"{number}")
    database.close()
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * (pages - 1))
    database = Database(path, [])
    with pytest.raises(FailedPrecondition, match=r"is damaged: .* begin anew"):
        database.rows("select name from things order by name")
    database.close()


def test_a_block_that_raises_leaves_nothing(path: Path) -> None:
    database = Database(path, [SCHEMA])
    with pytest.raises(sqlite3.IntegrityError), database.write() as connection:
        connection.executemany("insert into things values (?)", [("a",), ("a",)])
    assert names(database) == []
    database.close()


def test_a_process_killed_within_a_transaction_leaves_nothing_and_blocks_nobody(path: Path) -> None:
    database = Database(path, [SCHEMA])
    child = os.fork()
    if not child:
        mine = Database(path, [SCHEMA])
        with mine.write() as connection:
            connection.execute("insert into things values ('half')")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    put(database, "whole")
    assert names(database) == ["whole"]
    database.close()


def test_the_state_of_a_newer_version_is_refused(path: Path) -> None:
    Database(path, [SCHEMA]).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(FailedPrecondition, match="newer"):
        Database(path, [SCHEMA])


def test_a_damaged_file_is_refused_with_its_name(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(FailedPrecondition, match=r"state\.db"):
        Database(path, [SCHEMA])
