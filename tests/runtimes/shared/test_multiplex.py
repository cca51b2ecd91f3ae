"""Frames of several streams on one connection."""

from __future__ import annotations

import pytest

from cri.errors import Internal
from runtimes.shared.multiplex import Demultiplexer, StreamId


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


SENT = frame(1, b"out\n") + frame(2, b"") + frame(2, b"x" * 300) + frame(1, b"end")
MEANT = [
    (StreamId.STDOUT, b"out\n"),
    (StreamId.STDERR, b""),
    (StreamId.STDERR, b"x" * 300),
    (StreamId.STDOUT, b"end"),
]


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_frames_come_whole_however_the_bytes_are_cut(size: int) -> None:
    frames = Demultiplexer()
    pieces = (SENT[start : start + size] for start in range(0, len(SENT), size))
    assert [each for piece in pieces for each in frames.feed(piece)] == MEANT


def test_a_frame_that_is_not_whole_is_kept_back() -> None:
    frames = Demultiplexer()
    assert list(frames.feed(SENT[:11])) == []
    assert list(frames.feed(SENT[11:12])) == MEANT[:1]


def test_bytes_of_a_terminal_are_refused() -> None:
    with pytest.raises(Internal, match="not framed"):
        list(Demultiplexer().feed(b"login: please"))


def test_the_engines_own_error_is_raised_with_its_words() -> None:
    with pytest.raises(Internal, match="disk on fire"):
        list(Demultiplexer().feed(frame(3, b"disk on fire\n")))
