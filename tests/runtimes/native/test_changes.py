"""Hearing of what other processes do to the state, however the news and the commit fall together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtimes.native import event_source
from runtimes.native.event_source import Changes
from tests.runtimes.pods import WITHIN

AT_FIRST = 3
"""Looks at the version that are taken with nothing happening."""


class State:
    """The database, the ends and the events of an engine, as ``Changes`` has to do with them."""

    def __init__(self) -> None:
        self.committed = 1
        self.looks: asyncio.Queue[int] = asyncio.Queue()
        self.relists: asyncio.Queue[int] = asyncio.Queue()
        self.failures = 0

    def version(self) -> int:
        self.looks.put_nowait(self.committed)
        return self.committed

    def catch_up(self) -> None:
        if self.failures:
            self.failures -= 1
            raise FileNotFoundError("it went meanwhile")

    def relist_soon(self) -> None:
        self.relists.put_nowait(self.committed)


@asynccontextmanager
async def watched(state: State, directory: Path) -> AsyncIterator[Changes]:
    changes = Changes(state, directory, state, state)  # type: ignore[arg-type]
    changes.start()
    try:
        async with asyncio.timeout(WITHIN):
            yield changes
    finally:
        await changes.aclose()


async def looks(state: State, number: int) -> None:
    for _ in range(number):
        await state.looks.get()


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_source, "AFTERWARDS", 0.01)


async def test_a_change_is_heard_of_though_the_file_was_written_before_the_commit_counted(
    state: State, tmp_path: Path, soon: None
) -> None:
    async with watched(state, tmp_path):
        await looks(state, AT_FIRST)
        (tmp_path / "state.db-wal").write_bytes(b"x")
        await looks(state, 1)
        state.committed = 2
        assert await state.relists.get() == 2


async def test_what_was_committed_as_the_watch_began_is_heard_of(state: State, tmp_path: Path) -> None:
    async with watched(state, tmp_path):
        state.committed = 2
        assert await state.relists.get() == 2


async def test_of_own_commits_nothing_is_heard(state: State, tmp_path: Path, soon: None) -> None:
    async with watched(state, tmp_path):
        await looks(state, AT_FIRST)
        (tmp_path / "state.db-wal").write_bytes(b"x")
        await looks(state, 2)
        assert state.relists.empty()


async def test_a_change_that_cannot_be_looked_at_does_not_hide_the_next_one(
    state: State, tmp_path: Path, soon: None
) -> None:
    async with watched(state, tmp_path):
        await looks(state, AT_FIRST)
        state.failures, state.committed = 2, 2
        (tmp_path / "state.db-wal").write_bytes(b"x")
        await looks(state, 2)
        state.committed = 3
        (tmp_path / "state.db-wal").write_bytes(b"x")
        assert await state.relists.get() == 3
