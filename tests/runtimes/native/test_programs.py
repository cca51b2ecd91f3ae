"""Programs of others."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from cri.errors import DeadlineExceeded, FailedPrecondition
from runtimes.native import programs


async def test_a_program_is_heard_to_its_end() -> None:
    ended = await programs.run(["sh", "-c", "cat; echo oops >&2; exit 3"], timeout=60, stdin=b"hello")
    assert ended == programs.Ended(3, b"hello", b"oops\n")


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(FailedPrecondition, match="no-such-program"):
        await programs.run(["no-such-program"], timeout=60)


async def test_what_a_program_leaves_running_keeps_nobody(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    ended = await programs.run(["sh", "-c", f"sleep 60 & echo $! >{note}"], timeout=30)
    assert ended.code == 0
    os.kill(int(note.read_text()), 9)


async def test_a_program_that_takes_too_long_is_killed() -> None:
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        await programs.run(["sleep", "60"], timeout=0.05)


async def test_a_program_is_killed_with_its_caller(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    caller = asyncio.create_task(programs.run(["sh", "-c", f"echo $$ >{fifo}; exec sleep 60"], timeout=60))
    await asyncio.sleep(0)
    pid = int(await asyncio.to_thread(fifo.read_text))
    caller.cancel()
    await asyncio.wait({caller})
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
