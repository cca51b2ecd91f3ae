"""SPDY/3 header blocks: the dictionary, one compression context for each direction, and what is refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.streaming.spdy.errors import HeadersTooLarge, MalformedHeaders
from cri.streaming.spdy.headers import DICTIONARY, HeaderDecoder, HeaderEncoder

MAX_BYTES, MAX_HEADERS = 64 * 1024, 100

latin = st.text(st.characters(max_codepoint=255), max_size=30)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).map(str.lower)
headers = st.dictionaries(names, latin, max_size=8)


def decoder() -> HeaderDecoder:
    return HeaderDecoder(MAX_BYTES, MAX_HEADERS)


def compressed(plain: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return deflater.compress(plain) + deflater.flush(flush)


def block(*texts: bytes, count: int | None = None) -> bytes:
    body = b"".join(struct.pack(">I", len(text)) + text for text in texts)
    return struct.pack(">I", len(texts) // 2 if count is None else count) + body


def test_the_dictionary_is_the_one_of_the_specification() -> None:
    """Every zlib stream that was made with it names its checksum, so another would be no dictionary at all."""
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


@given(st.lists(headers, max_size=6))
def test_the_blocks_of_a_connection_come_back_in_order(sent: list[dict[str, str]]) -> None:
    encoder, receiver = HeaderEncoder(), decoder()
    assert [receiver.decode(encoder.encode(each)) for each in sent] == sent


def test_a_block_cannot_be_read_without_those_before_it() -> None:
    encoder = HeaderEncoder()
    encoder.encode({"streamtype": "error"})
    with pytest.raises(MalformedHeaders):
        decoder().decode(encoder.encode({"streamtype": "stdin"}))


def test_what_was_said_before_is_not_said_again() -> None:
    encoder = HeaderEncoder()
    said = {"streamtype": "error", "requestid": "0123456789"}
    first, second = encoder.encode(said), encoder.encode(said)
    assert len(second) < len(first) / 2


def test_names_go_out_in_lower_case() -> None:
    assert decoder().decode(HeaderEncoder().encode({"streamType": "Error"})) == {"streamtype": "Error"}


def test_the_widest_window_of_a_peer_is_understood() -> None:
    assert decoder().decode(compressed(block(b"streamtype", b"stdin"))) == {"streamtype": "stdin"}


def test_several_values_of_one_name_stay_one_text() -> None:
    assert decoder().decode(compressed(block(b"accept", b"a\0b"))) == {"accept": "a\0b"}


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(b"\0\0\0", id="no count"),
        pytest.param(block(b"a", b"b", count=2), id="fewer headers than counted"),
        pytest.param(block(b"a", b"b") + b"x", id="bytes after the last header"),
        pytest.param(block(b"a", b"b", count=0), id="headers after a count of none"),
        pytest.param(struct.pack(">II", 1, 0xFFFFFFFF), id="a name longer than the block"),
        pytest.param(block(b"", b"b"), id="an empty name"),
        pytest.param(block(b"Name", b"b"), id="an upper-case name"),
        pytest.param(block(b"a", b"b", b"a", b"c"), id="a name given twice"),
    ],
)
def test_a_block_that_is_no_list_of_headers_is_malformed(plain: bytes) -> None:
    with pytest.raises(MalformedHeaders):
        decoder().decode(compressed(plain))


def test_bytes_that_are_not_compressed_are_malformed() -> None:
    with pytest.raises(MalformedHeaders):
        decoder().decode(block(b"streamtype", b"stdin"))


def test_another_dictionary_is_malformed() -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_DEFAULT_STRATEGY, b"another")
    with pytest.raises(MalformedHeaders):
        decoder().decode(deflater.compress(block(b"a", b"b")) + deflater.flush(zlib.Z_SYNC_FLUSH))


def test_the_end_of_the_compression_stream_is_malformed() -> None:
    with pytest.raises(MalformedHeaders):
        decoder().decode(compressed(block(b"a", b"b"), zlib.Z_FINISH))


@pytest.mark.parametrize("size", [MAX_BYTES, 16 * 1024 * 1024])
def test_a_block_that_unfolds_beyond_the_limit_is_refused(size: int) -> None:
    """Zeros shrink to a thousandth on the wire, so a small frame could be a bomb."""
    bomb = compressed(block(b"a", bytes(size)))
    with pytest.raises(HeadersTooLarge):
        decoder().decode(bomb)


def test_more_headers_than_the_limit_are_refused_by_their_count() -> None:
    with pytest.raises(HeadersTooLarge):
        decoder().decode(compressed(struct.pack(">I", 0xFFFFFFFF)))
