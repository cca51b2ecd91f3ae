"""Carrying a client's input and terminal sizes to where a command reads them."""

from __future__ import annotations

import asyncio

from cri.errors import FailedPrecondition, Unavailable
from cri.streaming import InboundStream, SizeQueue
from runtimes.shared.session_input import beside, carry_input, carry_sizes


async def test_input_arrives_whole_and_then_its_end() -> None:
    stdin, heard = InboundStream(), bytearray()
    for piece in (b"one", b"two"):
        stdin.feed(piece)
    stdin.feed_eof()

    async def write(data: bytes) -> None:
        heard.extend(data)

    await carry_input(stdin, write, lambda: heard.extend(b"|end"))
    assert heard == b"onetwo|end"


async def test_a_reader_that_is_gone_is_no_error_and_is_told_no_end() -> None:
    stdin, ends = InboundStream(), []
    stdin.feed(b"unheard")

    async def refuse(data: bytes) -> None:
        raise Unavailable("the engine hung up")

    await carry_input(stdin, refuse, lambda: ends.append("end"))
    assert ends == []


async def test_a_client_that_is_gone_is_no_end_of_input() -> None:
    stdin, ends = InboundStream(), []
    stdin.fail(ConnectionResetError("the client left"))

    async def write(data: bytes) -> None:
        ends.append("data")

    await carry_input(stdin, write, lambda: ends.append("end"))
    assert ends == []


async def test_a_size_that_is_refused_does_not_keep_back_the_next() -> None:
    sizes, seen = SizeQueue(), []
    sizes.feed(b'{"Width": 80, "Height": 24}{"Width": 132, "Height": 43}')
    sizes.feed_eof()

    async def resize(width: int, height: int) -> None:
        seen.append((width, height))
        if len(seen) == 1:
            raise FailedPrecondition("not started yet")

    await carry_sizes(sizes, resize)
    assert seen == [(80, 24), (132, 43)]


async def test_what_runs_beside_a_session_is_over_with_it() -> None:
    ended = asyncio.Event()

    async def last_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(last_for_ever()):
        await asyncio.sleep(0)
    assert ended.is_set()
