"""What a handler reads and writes: bounded streams and terminal sizes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.streaming import InboundStream, OutboundStream, SizeQueue, TerminalSize
from cri.streaming.pipes import MAX_WRITE

# --- inbound ---------------------------------------------------------------------------------------------------------


async def test_a_reader_gets_what_was_fed_before_the_end() -> None:
    stream = InboundStream()
    stream.feed(b"last")
    stream.feed_eof()
    assert [await stream.read(), await stream.read()] == [b"last", b""]


async def test_a_reader_waits_for_the_first_byte() -> None:
    stream = InboundStream()
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    stream.feed(b"x")
    assert await reading == b"x"


async def test_a_reader_gets_no_more_than_it_asked_for() -> None:
    stream = InboundStream()
    stream.feed(b"abcdef")
    assert [await stream.read(4), await stream.read(4)] == [b"abcd", b"ef"]


async def test_a_broken_connection_is_read_after_what_came_before_it() -> None:
    stream = InboundStream()
    stream.feed(b"x")
    stream.fail(ConnectionResetError("gone"))
    assert await stream.read() == b"x"
    with pytest.raises(ConnectionResetError, match="gone"):
        await stream.read()


async def test_a_connection_that_breaks_after_the_end_breaks_nothing() -> None:
    stream = InboundStream()
    stream.feed_eof()
    stream.fail(ConnectionResetError("gone"))
    assert await stream.read() == b""


async def test_a_full_stream_has_space_again_once_it_is_read() -> None:
    stream = InboundStream(limit=4)
    stream.feed(b"abcd")
    assert not stream.has_space()
    await stream.read(1)
    assert stream.has_space()


async def test_a_stream_that_nobody_reads_takes_and_keeps_nothing() -> None:
    stream = InboundStream(limit=4)
    stream.feed(b"abcd")
    stream.abandon()
    stream.feed(b"more")
    assert stream.has_space()
    assert await stream.read() == b""


async def test_reading_all_throws_away_what_is_beyond_the_limit() -> None:
    stream = InboundStream()
    stream.feed(b"abcdef")
    stream.feed_eof()
    assert await stream.read_all(4) == b"abcd"


# --- outbound --------------------------------------------------------------------------------------------------------


class Sent:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends = 0

    async def send(self, data: bytes) -> None:
        self.pieces.append(data)

    async def end(self) -> None:
        self.ends += 1

    @property
    def stream(self) -> OutboundStream:
        return OutboundStream(self.send, self.end)


async def test_a_long_write_goes_out_in_pieces() -> None:
    sent = Sent()
    await sent.stream.write(bytes(MAX_WRITE * 2 + 1))
    assert [len(piece) for piece in sent.pieces] == [MAX_WRITE, MAX_WRITE, 1]


async def test_a_stream_is_ended_once() -> None:
    sent = Sent()
    stream = sent.stream
    await stream.close()
    await stream.close()
    assert sent.ends == 1


async def test_writing_after_the_end_is_a_broken_pipe() -> None:
    stream = Sent().stream
    await stream.close()
    with pytest.raises(BrokenPipeError):
        await stream.write(b"x")


# --- terminal sizes --------------------------------------------------------------------------------------------------


async def sizes_of(*pieces: bytes) -> list[TerminalSize]:
    sizes = SizeQueue()
    for piece in pieces:
        sizes.feed(piece)
    sizes.feed_eof()
    return [size async for size in sizes]


async def test_sizes_come_in_their_order() -> None:
    assert await sizes_of(b'{"Width":80,"Height":24}\n{"Width":100,"Height":40}\n') == [(80, 24), (100, 40)]


async def test_names_of_sizes_have_any_case() -> None:
    assert await sizes_of(b'{"width":80,"HEIGHT":24}') == [(80, 24)]


async def test_a_size_that_arrives_byte_by_byte_is_the_same() -> None:
    text = b'{"Width":80,"Height":24}\n'
    assert await sizes_of(*(text[i : i + 1] for i in range(len(text)))) == [(80, 24)]


async def test_the_size_of_no_terminal_is_left_out() -> None:
    assert await sizes_of(b'{"Width":0,"Height":0}{"Width":80,"Height":24}') == [(80, 24)]


async def test_a_slow_reader_misses_old_sizes_but_never_the_newest() -> None:
    sizes = await sizes_of(b"".join(b'{"Width":%d,"Height":1}' % width for width in range(1, 1001)))
    assert len(sizes) < 100
    assert sizes[-1] == (1000, 1)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"[]",
        b"null",
        b'{"Width":-1,"Height":24}',
        b'{"Width":65536,"Height":24}',
        b'{"Width":true,"Height":24}',
        b'{"Width":1e400,"Height":24}',
        b'{"Width":80}',
        b"{" * 2000,
        b"[" * 60_000,
        b'{"Width":' + b"9" * 60_000,
    ],
    ids=lambda text: f"{text[:24].decode()} ({len(text)} bytes)",
)
async def test_what_is_no_size_ends_the_sizes(nonsense: bytes) -> None:
    sizes = SizeQueue()
    sizes.feed(b'{"Width":80,"Height":24}' + nonsense)
    assert [size async for size in sizes] == [(80, 24)]


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_are_taken_as_sizes_or_end_them(pieces: list[bytes]) -> None:
    async def feed() -> None:
        await sizes_of(*pieces)

    asyncio.run(feed())
