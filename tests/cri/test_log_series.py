"""Several log files of one output."""

from __future__ import annotations

from pathlib import Path

from cri import logs


def write(path: Path, text: str) -> None:
    path.write_bytes(f"2024-01-01T00:00:00.000000001Z stdout F {text}\n".encode())


def test_the_newest_is_the_last_that_is_there(tmp_path: Path) -> None:
    write(tmp_path / "1", "x")
    assert logs.newest(lambda number: tmp_path / str(number), 3) == 1


def test_where_none_is_there_the_last_is_the_newest(tmp_path: Path) -> None:
    assert logs.newest(lambda number: tmp_path / str(number), 3) == 3


async def test_one_file_follows_the_other_to_the_end(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / str(number), f"of {number}")

    async def after(number: int) -> int | None:
        return number + 1 if number < 2 else None

    lines = logs.follow_on(lambda number: tmp_path / str(number), 0, after)
    assert [line.text async for line in lines] == [b"of 0", b"of 1", b"of 2"]
