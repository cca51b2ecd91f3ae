"""SPDY/3.1 frames: what the wire carries, byte for byte, and what the parser makes of it."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.streaming.spdy import frames
from cri.streaming.spdy.errors import FrameTooLarge, MalformedFrame
from cri.streaming.spdy.frames import MAX_LENGTH, MAX_STREAM_ID, Frame
from cri.streaming.spdy.parser import FrameParser

LIMIT = 64 * 1024

stream_ids = st.integers(1, MAX_STREAM_ID)
words = st.integers(0, 0xFFFFFFFF)
blocks = st.binary(max_size=200)
entries = st.builds(frames.Setting, id=st.integers(0, MAX_LENGTH), value=words, flags=st.integers(0, 0xFF))
control_frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        frames.SynStream,
        stream_id=stream_ids,
        header_block=blocks,
        fin=st.booleans(),
        unidirectional=st.booleans(),
        associated_to=st.integers(0, MAX_STREAM_ID),
        priority=st.integers(0, 7),
        slot=st.integers(0, 255),
    ),
    st.builds(frames.SynReply, stream_id=stream_ids, header_block=blocks, fin=st.booleans()),
    st.builds(frames.Headers, stream_id=stream_ids, header_block=blocks, fin=st.booleans()),
    st.builds(frames.RstStream, stream_id=stream_ids, status=st.integers(1, 0xFFFFFFFF)),
    st.builds(frames.Settings, entries=st.lists(entries, max_size=5).map(tuple), flags=st.integers(0, 0xFF)),
    st.builds(frames.Ping, id=words),
    st.builds(frames.GoAway, last_stream_id=st.integers(0, MAX_STREAM_ID), status=words),
    st.builds(frames.WindowUpdate, stream_id=st.integers(0, MAX_STREAM_ID), delta=st.integers(1, MAX_STREAM_ID)),
)
data_frames: st.SearchStrategy[Frame] = st.builds(frames.Data, stream_id=stream_ids, data=blocks, fin=st.booleans())
any_frames = st.one_of(control_frames, data_frames)


def parsed(*pieces: bytes) -> list[Frame]:
    parser = FrameParser(LIMIT)
    return [frame for piece in pieces for frame in parser.feed(piece)]


def joined(found: Iterable[Frame]) -> list[Frame]:
    """The pieces of each data frame put together again, as far as FIN allows: what their reader would see."""
    whole: list[Frame] = []
    for frame in found:
        last = whole[-1] if whole else None
        if (
            isinstance(frame, frames.Data)
            and isinstance(last, frames.Data)
            and last.stream_id == frame.stream_id
            and not last.fin
        ):
            whole[-1] = frames.Data(last.stream_id, last.data + frame.data, frame.fin)
        else:
            whole.append(frame)
    return whole


@given(any_frames)
def test_a_frame_comes_back_as_it_was_encoded(frame: Frame) -> None:
    assert parsed(frame.encode()) == [frame]


@given(st.lists(any_frames, max_size=8))
def test_frames_that_arrive_byte_by_byte_are_the_same_frames(sent: list[Frame]) -> None:
    wire = b"".join(frame.encode() for frame in sent)
    assert joined(parsed(*(wire[i : i + 1] for i in range(len(wire))))) == joined(sent)


@given(st.lists(any_frames, min_size=1, max_size=4), st.data())
def test_frames_cut_anywhere_are_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(frame.encode() for frame in sent)
    at = data.draw(st.integers(0, len(wire)))
    assert joined(parsed(wire[:at], wire[at:])) == joined(sent)


@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        (frames.SynStream(1, b"", fin=True, priority=3), "80030001 0100000a 00000001 00000000 6000"),
        (frames.SynReply(2, b"\xaa"), "80030002 00000005 00000002 aa"),
        (frames.RstStream(1, frames.ResetStatus.CANCEL), "80030003 00000008 00000001 00000005"),
        (frames.Settings((frames.Setting(7, 65536, flags=1),)), "80030004 0000000c 00000001 01000007 00010000"),
        (frames.Ping(1), "80030006 00000004 00000001"),
        (frames.GoAway(5), "80030007 00000008 00000005 00000000"),
        (frames.Headers(3, b""), "80030008 00000004 00000003"),
        (frames.WindowUpdate(1, 65536), "80030009 00000008 00000001 00010000"),
        (frames.Data(1, b"hi", fin=True), "00000001 01000002 6869"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_frame_is_laid_out_as_the_specification_says(frame: Frame, wire: str) -> None:
    assert frame.encode() == bytes.fromhex(wire)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param("80020006 00000004 00000001", id="another version"),
        pytest.param("80030001 00000004 00000001", id="a short SYN_STREAM"),
        pytest.param("80030002 00000002 0000", id="a short SYN_REPLY"),
        pytest.param("80030008 00000000", id="a short HEADERS"),
        pytest.param("80030001 0000000a 00000000 00000000 0000", id="SYN_STREAM of stream 0"),
        pytest.param("80030003 00000007 00000001 000000", id="a short RST_STREAM"),
        pytest.param("80030003 00000008 00000001 00000000", id="RST_STREAM with status 0"),
        pytest.param("80030004 00000004 00000001", id="SETTINGS without the entry that it counts"),
        pytest.param("80030004 00000004 ffffffff", id="SETTINGS that counts four thousand millions"),
        pytest.param("80030006 00000005 0000000100", id="a long PING"),
        pytest.param("80030007 00000004 00000001", id="a short GOAWAY"),
        pytest.param("80030009 00000008 00000001 00000000", id="WINDOW_UPDATE of nothing"),
        pytest.param("00000000 00000001 00", id="data of stream 0"),
    ],
)
def test_a_frame_that_contradicts_the_specification_is_malformed(wire: str) -> None:
    with pytest.raises(MalformedFrame):
        parsed(bytes.fromhex(wire))


def test_the_bit_before_a_stream_id_is_ignored() -> None:
    assert parsed(bytes.fromhex("80030003 00000008 80000001 00000005")) == [frames.RstStream(1, 5)]


def test_a_control_frame_of_an_unknown_type_is_skipped() -> None:
    assert parsed(bytes.fromhex("80030063 00000003 010203"), frames.Ping(1).encode()) == [frames.Ping(1)]


def test_a_control_frame_above_the_limit_is_refused_by_its_head_alone() -> None:
    with pytest.raises(FrameTooLarge, match=str(LIMIT)):
        parsed(struct.pack(">II", 0x8003_0008, LIMIT + 1))


def test_a_control_frame_at_the_limit_is_taken() -> None:
    frame = frames.Headers(1, b"x" * (LIMIT - 4))
    assert parsed(frame.encode()) == [frame]


def test_the_data_of_a_frame_passes_through_before_the_frame_is_complete() -> None:
    parser = FrameParser(LIMIT)
    assert list(parser.feed(struct.pack(">II", 1, 0x01_FFFFFF) + b"abc")) == [frames.Data(1, b"abc")]


def test_only_the_last_piece_of_a_data_frame_carries_its_fin() -> None:
    pieces = parsed(struct.pack(">II", 1, 0x01_000004) + b"ab", b"c", b"d")
    assert [piece.fin for piece in pieces if isinstance(piece, frames.Data)] == [False, False, True]


def test_an_empty_data_frame_with_fin_is_a_frame() -> None:
    assert parsed(frames.Data(1, b"", fin=True).encode()) == [frames.Data(1, b"", fin=True)]


def test_data_that_does_not_fit_a_length_of_24_bits_cannot_be_sent() -> None:
    with pytest.raises(FrameTooLarge):
        frames.Data(1, bytes(MAX_LENGTH + 1)).encode()


def test_a_header_block_that_does_not_fit_a_length_of_24_bits_cannot_be_sent() -> None:
    with pytest.raises(FrameTooLarge):
        frames.Headers(1, bytes(MAX_LENGTH)).encode()


def test_the_parser_holds_no_more_than_one_control_frame() -> None:
    parser = FrameParser(LIMIT)
    for _ in range(100):
        assert list(parser.feed(frames.Ping(1).encode() * 1000)) == [frames.Ping(1)] * 1000
    assert len(parser._buffer) == 0
