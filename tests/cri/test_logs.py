"""The CRI log format: records, files that survive crashes and rotation, and followers that miss nothing."""

import asyncio
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.logs import MAX_LINE_BYTES, LogWriter, Record, follow, parse_record, read, records
from cri.logs.record import Stream, cut, format_timestamp, parse_timestamp

SECOND = 1_000_000_000


def record(text: bytes, timestamp_ns: int = SECOND, stream: Stream = "stdout", *, partial: bool = False) -> Record:
    return Record(timestamp_ns, stream, partial, text)


def test_a_record_is_time_stream_tag_and_text() -> None:
    encoded = record(b"hello world", 1_700_000_000 * SECOND + 5).encode()
    assert encoded == b"2023-11-14T22:13:20.000000005Z stdout F hello world\n"


@given(st.integers(0, 4 * 10**18), st.sampled_from(["stdout", "stderr"]), st.booleans(), st.binary(max_size=200))
def test_a_record_comes_back_from_its_line(timestamp_ns: int, stream: Stream, partial: bool, text: bytes) -> None:
    original = Record(timestamp_ns, stream, partial, text.replace(b"\n", b""))
    assert parse_record(original.encode()) == original


@pytest.mark.parametrize("zone", ["+02:00", "-11:30"])
def test_a_timestamp_with_a_zone_is_read_as_the_same_instant(zone: str) -> None:
    local = "2023-11-15T00:13:20.5" + zone
    sign = 1 if zone[0] == "+" else -1
    offset = sign * (int(zone[1:3]) * 3600 + int(zone[4:]) * 60)
    assert parse_timestamp(local) == parse_timestamp("2023-11-15T00:13:20.500Z") - offset * SECOND


@given(st.integers(0, 4 * 10**18), st.integers(0, 4 * 10**18))
def test_the_order_of_timestamps_as_text_is_their_order_in_time(one: int, other: int) -> None:
    assert (format_timestamp(one) < format_timestamp(other)) == (one < other)


@pytest.mark.parametrize(
    "line", [b"", b"x", b"2023-11-14T22:13:20Z stdin F x", b"2023-11-14T22:13:20Z stdout Q x", b"now stdout F x"]
)
def test_a_line_that_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="is n"):
        parse_record(line)


def test_a_long_line_is_split_at_16_kib() -> None:
    parts = list(cut(1, "stdout", b"x" * (2 * MAX_LINE_BYTES + 1) + b"\n"))
    assert [(len(part.text), part.partial) for part in parts] == [
        (MAX_LINE_BYTES, True),
        (MAX_LINE_BYTES, True),
        (1, False),
    ]


def test_a_line_of_exactly_16_kib_stays_whole() -> None:
    assert list(cut(1, "stdout", b"x" * MAX_LINE_BYTES + b"\n")) == [record(b"x" * MAX_LINE_BYTES, 1)]


def test_an_unterminated_last_line_is_partial() -> None:
    assert [(part.text, part.partial) for part in cut(1, "stdout", b"one\ntwo")] == [(b"one", False), (b"two", True)]


@given(st.lists(st.binary(max_size=40)))
def test_cutting_and_printing_gives_back_the_output(chunks: list[bytes]) -> None:
    output = b"\n".join(chunks)
    assert b"".join(part.printed for part in cut(1, "stdout", output)) == output


def test_a_log_file_is_not_readable_by_others(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "pod" / "0.log") as log:
        assert log.path.stat().st_mode & 0o777 == 0o640
        assert log.path.parent.stat().st_mode & 0o027 == 0


def test_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"0\.log"):
        LogWriter(tmp_path / "0.log")
    assert not (tmp_path / "elsewhere").exists()


def test_a_line_torn_by_a_crash_is_cut_off_when_the_log_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(record(b"whole").encode() + record(b"torn").encode()[:-3])
    with LogWriter(path) as log:
        log.write([record(b"next")])
    assert [each.text for each in read(path)] == [b"whole", b"next"]


def test_reopening_goes_on_in_a_fresh_file(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    with LogWriter(path) as log:
        log.write([record(b"old")])
        path.rename(tmp_path / "0.log.1")
        log.reopen()
        log.write([record(b"new")])
    assert [each.text for each in read(path)] == [b"new"]
    assert [each.text for each in read(tmp_path / "0.log.1")] == [b"old"]


def test_a_failed_reopen_keeps_writing_to_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    with LogWriter(folder / "0.log") as log:
        folder.rename(tmp_path / "moved")
        with pytest.raises(FileNotFoundError):
            log.reopen()
        log.write([record(b"still here")])
    assert not folder.exists()
    assert [each.text for each in read(tmp_path / "moved" / "0.log")] == [b"still here"]


def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "0.log"
    with LogWriter(path) as log:
        log.write([record(b"whole")])
        real_write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: real_write(file, data[:7]))
        with pytest.raises(OSError, match="only 7 of"):
            log.write([record(b"half")])
    assert path.read_bytes() == record(b"whole").encode()


def test_reading_selects_by_tail_and_time(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(record(b"%d" % number, number).encode() for number in range(10)))
    assert [each.text for each in read(path, tail=2)] == [b"8", b"9"]
    assert [each.text for each in read(path, since_ns=7)] == [b"7", b"8", b"9"]
    assert read(path, tail=0) == []
    assert read(tmp_path / "none.log") == []


async def test_a_log_of_any_size_is_read_a_part_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    line = record(b"x" * 1000).encode()
    path.write_bytes(line * 20_000)
    tracemalloc.start()
    try:
        assert len([1 async for _ in records(path)]) == 20_000
        ended = asyncio.Event()
        ended.set()
        assert len([1 async for _ in follow(path, ended)]) == 20_000
        assert tracemalloc.get_traced_memory()[1] < len(line) * 2_000
    finally:
        tracemalloc.stop()


async def test_records_are_selected_by_tail_and_time(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(record(b"%d" % number, number).encode() for number in range(1000)))
    assert [each.text async for each in records(path, tail=2)] == [b"998", b"999"]
    assert [each.text async for each in records(path, tail=0)] == []
    assert [each.timestamp_ns async for each in records(path, since_ns=7)] == list(range(7, 1000))
    assert [each async for each in records(tmp_path / "none.log")] == []


async def collect(path: Path, ended: asyncio.Event, seen: list[bytes]) -> None:
    async for each in follow(path, ended):
        seen.append(each.text)  # noqa: PERF401 - the caller looks at the list while it grows


async def until(seen: list[bytes], text: bytes) -> None:
    async with asyncio.timeout(60):
        while text not in seen:  # noqa: ASYNC110 - the follower under test gives no other sign
            await asyncio.sleep(0.005)


async def test_a_follower_waits_for_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    path, ended, seen = tmp_path / "pod" / "0.log", asyncio.Event(), list[bytes]()
    task = asyncio.create_task(collect(path, ended, seen))
    await asyncio.sleep(0)
    with LogWriter(path) as log:
        log.write([record(b"first")])
        await until(seen, b"first")
        log.write([record(b"last")])
    ended.set()
    await task
    assert seen == [b"first", b"last"]


async def test_a_follower_neither_loses_nor_repeats_a_line_across_rotations(tmp_path: Path) -> None:
    path, ended, seen = tmp_path / "0.log", asyncio.Event(), list[bytes]()
    expected = [b"%d" % number for number in range(60)]
    with LogWriter(path) as log:
        task = asyncio.create_task(collect(path, ended, seen))
        for number, text in enumerate(expected):
            log.write([record(text)])
            if number % 20 == 19:
                await until(seen, text)
                path.rename(tmp_path / f"0.log.{number}")
                log.write([record(b"late %d" % number)])
                log.reopen()
    ended.set()
    await task
    assert [text for text in seen if not text.startswith(b"late")] == expected
    assert [text for text in seen if text.startswith(b"late")] == [b"late 19", b"late 39", b"late 59"]


async def test_a_follower_ends_with_what_was_written_before_the_end(tmp_path: Path) -> None:
    path, ended, seen = tmp_path / "0.log", asyncio.Event(), list[bytes]()
    with LogWriter(path) as log:
        task = asyncio.create_task(collect(path, ended, seen))
        await asyncio.sleep(0)
        log.write([record(b"%d" % number) for number in range(100)])
        ended.set()
        await task
    assert len(seen) == 100
