"""Going on with a log where it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cri.logs import Record
from cri.logs.record import Stream
from runtimes.shared import log_resume
from runtimes.shared.log_resume import Resume, Tail, read_tail

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


def record(at_ns: int, text: bytes = b"x", *, stream: Stream = "stdout", partial: bool = False) -> Record:
    return Record(START + at_ns, stream, partial, text)


def write(path: Path, *records: Record, torn: bytes = b"") -> None:
    path.write_bytes(b"".join(each.encode() for each in records) + torn)


def resumed(written: list[Record], sent: list[Record]) -> list[Record]:
    resume = Resume(Tail(written))
    return [each for each in sent if each.timestamp_ns >= resume.since_ns and resume.is_new(each)]


def test_an_empty_log_lacks_everything() -> None:
    assert Resume(Tail([])).since_ns == 0
    assert resumed([], [record(0), record(0), record(1)]) == [record(0), record(0), record(1)]


@pytest.mark.parametrize("written", range(6))
def test_equal_records_of_one_time_are_counted(written: int) -> None:
    sent = [record(0, b"first"), *[record(7, b"same", partial=True)] * 4, record(7, b"end")]
    assert sent[:written] + resumed(sent[:written], sent) == sent


def test_a_record_older_than_the_last_one_written_is_not_lost() -> None:
    late = record(5, b"late", stream="stderr")
    assert resumed([record(9)], [record(9), late, record(11)]) == [late, record(11)]


def test_a_record_younger_than_the_last_one_written_is_not_doubled() -> None:
    written = [record(9, b"early"), record(5, stream="stderr")]
    assert resumed(written, [*written, record(11)]) == [record(11)]


def test_an_engine_that_does_not_filter_doubles_nothing() -> None:
    log = [record(each * SECOND) for each in range(6)]
    resume = Resume(Tail(log))
    assert [each for each in [*log[3:], record(9 * SECOND)] if resume.is_new(each)] == [record(9 * SECOND)]


def test_what_is_no_longer_needed_is_let_go() -> None:
    resume = Resume(Tail([record(0)]))
    assert resume.is_new(record(3 * SECOND))
    assert not resume._known


def test_the_tail_reaches_a_margin_behind_the_last_record(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = [record(each * SECOND // 2) for each in range(20)]
    write(path, *log)
    assert list(read_tail(path).records) == log[-4:]


@pytest.mark.parametrize("block", [1, 40, 64, 1000])
def test_the_tail_is_read_in_blocks_of_any_size(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_resume, "BLOCK", block)
    path = tmp_path / "0.log"
    log = [record(each, b"text %d" % each) for each in range(9)]
    write(path, *log, torn=b"2027-01-15T08:00:00")
    assert list(read_tail(path).records) == log


def test_lines_of_strangers_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"hello\n" + record(0).encode() + b"\n\xff\n")
    assert list(read_tail(path).records) == [record(0)]


def test_no_log_has_no_tail(tmp_path: Path) -> None:
    assert not read_tail(tmp_path / "none" / "0.log").records
    assert not log_resume.exists(tmp_path / "none" / "0.log")


def test_what_was_rotated_counts_when_the_new_file_is_still_empty(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    write(tmp_path / "0.log.20270115-080000", record(0), record(1))
    os.utime(tmp_path / "0.log.20270115-080000", (1, 1))
    write(tmp_path / "0.log.20270115-090000", record(2))
    (tmp_path / "0.log.20270115-070000.gz").write_bytes(b"\x1f\x8b")
    write(path)
    assert list(read_tail(path).records) == [record(0), record(1), record(2)]
    path.unlink()
    assert log_resume.exists(path)


def test_a_log_too_dense_to_read_back_is_gone_on_with_from_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = [record(each) for each in range(100)]
    write(path, *log)
    read = read_tail(path, limit=2)
    assert list(read.records) == log[-3:]
    assert Resume(read).since_ns == log[-3].timestamp_ns
