"""The engine's log entries as records."""

from __future__ import annotations

import pytest

from cri.errors import Internal
from cri.logs import MAX_LINE_BYTES, Record
from cri.logs.record import Stream, format_timestamp
from runtimes.docker.log_entries import FramedEntries, TerminalEntries

SECOND = 1_000_000_000


def framed(at: int, text: bytes, stream: int = 1) -> bytes:
    entry = format_timestamp(at * SECOND).encode() + b" " + text
    return bytes([stream, 0, 0, 0]) + len(entry).to_bytes(4, "big") + entry


def terminal(at: int, text: bytes) -> bytes:
    return format_timestamp(at * SECOND).encode() + b" " + text


def record(at: int, text: bytes, *, partial: bool = False, stream: Stream = "stdout") -> Record:
    return Record(at * SECOND, stream, partial, text)


def test_each_frame_is_a_record_of_its_stream() -> None:
    entries = FramedEntries(swallows_line_ends=False)
    sent = framed(1, b"a\n") + framed(2, b"b\n", stream=2) + framed(3, b"\n") + framed(4, b"end")
    assert list(entries.feed(sent)) == [
        record(1, b"a"),
        record(2, b"b", stream="stderr"),
        record(3, b""),
        record(4, b"end", partial=True),
    ]


def test_parts_of_a_long_line_are_partial_but_the_last() -> None:
    entries = FramedEntries(swallows_line_ends=False)
    full = b"x" * MAX_LINE_BYTES
    sent = framed(1, full) + framed(1, full) + framed(1, b"rest\n")
    assert list(entries.feed(sent)) == [
        record(1, full, partial=True),
        record(1, full, partial=True),
        record(1, b"rest"),
    ]


def test_an_entry_over_16_kib_is_split() -> None:
    entries = FramedEntries(swallows_line_ends=False)
    assert [len(each.text) for each in entries.feed(framed(1, b"x" * (MAX_LINE_BYTES + 1) + b"\n"))] == [
        MAX_LINE_BYTES,
        1,
    ]


def test_a_swallowed_line_end_is_restored_when_the_next_line_comes() -> None:
    entries = FramedEntries(swallows_line_ends=True)
    full = b"x" * MAX_LINE_BYTES
    assert list(entries.feed(framed(1, full) + framed(1, b"rest"))) == [record(1, full, partial=True)]
    assert list(entries.feed(framed(2, b"other\n", stream=2))) == [record(2, b"other", stream="stderr")]
    assert list(entries.feed(framed(3, b"next\n"))) == [record(1, b"rest"), record(3, b"next")]


def test_what_nothing_follows_is_partial_at_the_end() -> None:
    entries = FramedEntries(swallows_line_ends=True)
    assert list(entries.feed(framed(1, b"prompt> "))) == []
    assert list(entries.end()) == [record(1, b"prompt> ", partial=True)]
    assert list(entries.end()) == []


def test_a_long_line_that_nothing_follows_is_taken_to_have_ended() -> None:
    entries = FramedEntries(swallows_line_ends=True)
    full = b"x" * MAX_LINE_BYTES
    assert list(entries.feed(framed(1, full) + framed(1, b"rest"))) == [record(1, full, partial=True)]
    assert list(entries.end()) == [record(1, b"rest")]


def test_only_a_long_line_is() -> None:
    entries = FramedEntries(swallows_line_ends=True)
    sent = framed(1, b"x" * MAX_LINE_BYTES) + framed(1, b"rest") + framed(2, b"prompt> ")
    assert list(entries.feed(sent))[-1] == record(1, b"rest")
    assert list(entries.end()) == [record(2, b"prompt> ", partial=True)]


@pytest.mark.parametrize("size", [1, 7, 31, 16384, 100_000])
def test_a_terminals_entries_are_told_apart_however_the_bytes_are_cut(size: int) -> None:
    full = b"x" * MAX_LINE_BYTES
    sent = terminal(1, b"a\r\n") + terminal(2, full) + terminal(2, full) + terminal(2, b"\r\n") + terminal(3, b"end")
    entries = TerminalEntries()
    got = [each for start in range(0, len(sent), size) for each in entries.feed(sent[start : start + size])]
    assert got == [
        record(1, b"a\r"),
        record(2, full, partial=True),
        record(2, full, partial=True),
        record(2, b"\r"),
    ]
    assert list(entries.end()) == [record(3, b"end", partial=True)]


@pytest.mark.parametrize("size", [1, 16384, 100_000])
def test_a_terminal_entry_over_16_kib_goes_on_without_a_time(size: int) -> None:
    sent = terminal(1, b"x" * MAX_LINE_BYTES + b"y\n") + terminal(2, b"z\n")
    entries = TerminalEntries()
    got = [each for start in range(0, len(sent), size) for each in entries.feed(sent[start : start + size])]
    assert got == [record(1, b"x" * MAX_LINE_BYTES, partial=True), record(1, b"y"), record(2, b"z")]


def test_what_has_no_time_is_refused() -> None:
    with pytest.raises(Internal, match="without a time"):
        list(TerminalEntries().feed(b"no time here\n"))
    with pytest.raises(Internal, match="without a time"):
        list(FramedEntries(swallows_line_ends=False).feed(b"\1\0\0\0\0\0\0\3no\n"))
