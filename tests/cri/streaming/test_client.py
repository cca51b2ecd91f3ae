"""The client, against our own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from cri.errors import Internal, NotFound, Unavailable
from cri.streaming import StreamingServer, StreamIO, TerminalSize
from cri.streaming.client import open_command, run_command
from cri.v1 import api_pb2 as v1
from tests.cri.streaming.clients import Collected, Transport, both
from tests.cri.streaming.handlers import Handler, echo, exec_request, exits, forever


async def chunks(*data: bytes) -> AsyncIterator[bytes]:
    for chunk in data:
        yield chunk


async def never_ending() -> AsyncIterator[bytes]:
    """A terminal at which nobody types."""
    await asyncio.Event().wait()
    yield b""


@both
@pytest.mark.parametrize("code", [0, 3])
async def test_outputs_and_exit_code_come_back(transport: Transport, code: int) -> None:
    out, err = Collected(), Collected()
    async with StreamingServer(Handler(exits(code, b"out", b"err"))) as server:
        url = await server.exec_url(exec_request(stderr=True))
        assert await run_command(url, stdout=out, stderr=err, transport=transport) == code
    assert (out.data, err.data) == (b"out", b"err")


@both
async def test_input_ends_and_what_the_command_makes_of_it_comes_back(transport: Transport) -> None:
    out = Collected()
    async with StreamingServer(Handler(echo)) as server:
        url = await server.exec_url(exec_request(stdin=True))
        assert await run_command(url, stdin=chunks(b"a" * 100_000, b"b"), stdout=out, transport=transport) == 0
    assert out.data == b"a" * 100_000 + b"b"


@both
async def test_input_alone_is_delivered(transport: Transport) -> None:
    """With no output to wait for, the command's end is what to wait for."""
    read: list[bytes] = []

    async def take(request: v1.ExecRequest, io: StreamIO) -> int:
        read.append(await io.stdin.read_all(1 << 20))
        return 5

    async with StreamingServer(Handler(take)) as server:
        url = await server.exec_url(exec_request(stdin=True, stdout=False))
        assert await run_command(url, stdin=chunks(b"a", b"b"), transport=transport) == 5
    assert read == [b"ab"]


@both
async def test_a_command_that_ends_does_not_wait_for_more_input(transport: Transport) -> None:
    async with StreamingServer(Handler(exits(0))) as server:
        url = await server.exec_url(exec_request(stdin=True))
        assert await run_command(url, stdin=never_ending(), stdout=Collected(), transport=transport) == 0


@both
async def test_terminal_sizes_reach_the_command(transport: Transport) -> None:
    async def report(request: v1.ExecRequest, io: StreamIO) -> int:
        return (await anext(io.resizes)).width

    async def sizes() -> AsyncIterator[TerminalSize]:
        yield TerminalSize(132, 50)
        await asyncio.Event().wait()

    async with StreamingServer(Handler(report)) as server:
        url = await server.exec_url(exec_request(stdin=True, tty=True))
        code = await run_command(
            url, stdin=never_ending(), stdout=Collected(), sizes=sizes(), tty=True, transport=transport
        )
    assert code == 132


@both
async def test_a_failure_of_the_server_is_raised_in_its_words(transport: Transport) -> None:
    async def missing(request: v1.ExecRequest, io: StreamIO) -> int:
        raise NotFound("container c is gone")

    async with StreamingServer(Handler(missing)) as server:
        with pytest.raises(Internal, match="container c is gone"):
            await run_command(await server.exec_url(exec_request()), stdout=Collected(), transport=transport)


@both
async def test_output_before_a_failure_is_not_lost(transport: Transport) -> None:
    async def fail(request: v1.ExecRequest, io: StreamIO) -> int:
        await io.stdout.write(b"last words")
        raise NotFound("gone")

    out = Collected()
    async with StreamingServer(Handler(fail)) as server:
        with pytest.raises(Internal):
            await run_command(await server.exec_url(exec_request()), stdout=out, transport=transport)
    assert out.data == b"last words"


@both
async def test_a_used_url_is_not_found(transport: Transport) -> None:
    async with StreamingServer(Handler(exits(0))) as server:
        url = await server.exec_url(exec_request())
        await run_command(url, stdout=Collected(), transport=transport)
        with pytest.raises(NotFound, match="ask for a new one"):
            await run_command(url, stdout=Collected(), transport=transport)


@both
async def test_a_server_that_ends_in_the_middle_is_unavailable(transport: Transport) -> None:
    handler = Handler(forever)
    async with StreamingServer(handler) as server:
        running = asyncio.create_task(
            run_command(await server.exec_url(exec_request()), stdout=Collected(), transport=transport)
        )
        await handler.begun.wait()
        await server.aclose()
        with pytest.raises(Unavailable, match="ended before the command did"):
            await running


@both
async def test_a_caller_that_is_cancelled_hangs_up(transport: Transport) -> None:
    handler = Handler(forever)
    async with StreamingServer(handler) as server:
        running = asyncio.create_task(
            run_command(await server.exec_url(exec_request()), stdout=Collected(), transport=transport)
        )
        await handler.begun.wait()
        running.cancel()
        assert await handler.ends.get() == "cancelled"
        await asyncio.wait({running})


@both
async def test_an_output_that_cannot_be_written_ends_the_session_with_its_own_error(transport: Transport) -> None:
    async def full(data: bytes) -> None:
        raise OSError("no space left")

    handler = Handler(echo)
    async with StreamingServer(handler) as server:
        url = await server.exec_url(exec_request(stdin=True))
        with pytest.raises(OSError, match="no space left"):
            await run_command(url, stdin=chunks(b"x"), stdout=full, transport=transport)


@both
async def test_a_source_of_input_that_fails_ends_the_session_with_its_own_error(transport: Transport) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise OSError("unreadable")

    async with StreamingServer(Handler(forever)) as server:
        url = await server.exec_url(exec_request(stdin=True))
        with pytest.raises(OSError, match="unreadable"):
            await run_command(url, stdin=broken(), stdout=Collected(), transport=transport)


@both
async def test_the_streams_can_be_driven_by_hand(transport: Transport) -> None:
    async with StreamingServer(Handler(echo)) as server:
        url = await server.exec_url(exec_request(stdin=True))
        async with open_command(url, transport=transport, stdin=True, stderr=False) as command:
            assert command.can_end_stdin
            await command.stdin.write(b"ping")
            assert await command.stdout.read() == b"ping"
            await command.stdin.close()
            assert await command.wait() == 0


@both
async def test_attach_returns_when_the_session_ends(transport: Transport) -> None:
    async def attach(request: v1.AttachRequest, io: StreamIO) -> None:
        await io.stdout.write(b"hello")

    out = Collected()
    async with StreamingServer(Handler(attach=attach)) as server:
        url = await server.attach_url(v1.AttachRequest(container_id="c", stdout=True))
        assert await run_command(url, stdout=out, transport=transport) == 0
    assert out.data == b"hello"
