"""The client, against URLs that lead nowhere and against what other servers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cri.errors import CRIError, Internal, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from cri.streaming import StreamingServer
from cri.streaming.client import handshake, run_command
from cri.streaming.spdy import Connection, ResetStatus, Role, events
from tests.cri.streaming.clients import Collected, Transport, both
from tests.cri.streaming.handlers import Handler, exec_request

# --- URLs and answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "exec/token", "ftp://h/exec", "http://", "http://h:99999/x", "http://[::1/x", "http://h/a b", "http://h/ü"],
)
async def test_what_is_no_streaming_url_is_an_invalid_argument(url: str) -> None:
    with pytest.raises(InvalidArgument, match="streaming URL"):
        await run_command(url, stdout=Collected())


async def test_nobody_at_the_url_is_unavailable() -> None:
    async with StreamingServer(Handler()) as server:
        url = await server.exec_url(exec_request())
    with pytest.raises(Unavailable, match="cannot connect"):
        await run_command(url, stdout=Collected())


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def foreign(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server that does what it likes once it has read a request."""

    done = asyncio.Queue[None]()
    begun = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
        except ConnectionError:
            return  # the client had enough
        finally:
            writer.close()
            done.put_nowait(None)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/exec/token"
    for _ in range(begun):
        await done.get()


@both
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", NotFound),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", ResourceExhausted),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nlater", Unavailable),
        (b"HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n4\r\noops\r\n0\r\n\r\n", Internal),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, Internal),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Internal),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Internal),
        (b"", Unavailable),
    ],
    ids=lambda value: value.decode()[:24] if isinstance(value, bytes) else "",
)
async def test_a_refusal_is_the_error_that_fits(transport: Transport, answer: bytes, error: type[CRIError]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with foreign(serve) as url:
        with pytest.raises(error):
            await run_command(url, stdout=Collected(), transport=transport)


@both
async def test_a_server_that_answers_without_end_is_given_up(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_TIMEOUT", 0.5)

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
        while not (reader.at_eof() or reader.exception()):
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.02)

    async with foreign(trickle) as url:
        with pytest.raises(Unavailable, match="did not answer within"):
            await run_command(url, stdout=Collected(), transport=transport)


# --- how other servers end a session ---------------------------------------------------------------------------------


def go_server(finish: Callable[[Connection, dict[str, int]], None]) -> Serve:
    """SPDY as the Go servers speak it: ``finish`` gets the streams, by type, once all have come."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
        )
        connection, streams = Connection(Role.SERVER), dict[str, int]()
        while len(streams) < 2:
            for event in connection.receive(await reader.read(65536)):
                assert isinstance(event, events.StreamOpened)
                streams[event.headers["streamtype"]] = event.stream_id
                connection.reply(event.stream_id)
            if len(streams) == 2:
                finish(connection, streams)
            writer.write(connection.data_to_send())
        await reader.read()

    return serve


async def test_streams_that_a_go_server_resets_at_its_end_are_complete() -> None:
    """It writes the outcome, then cancels all streams, then says GOAWAY: no stream of it ends in another way."""

    def finish(connection: Connection, streams: dict[str, int]) -> None:
        connection.send_data(streams["stdout"], b"out")
        connection.send_data(streams["error"], json.dumps({"status": "Success"}).encode())
        for stream_id in streams.values():
            connection.reset(stream_id)
        connection.go_away()

    out = Collected()
    async with foreign(go_server(finish)) as url:
        assert await run_command(url, stdout=out, transport="spdy") == 0
    assert out.data == b"out"


async def test_an_error_stream_that_ends_without_a_word_is_a_success() -> None:
    def finish(connection: Connection, streams: dict[str, int]) -> None:
        for stream_id in streams.values():
            connection.send_data(stream_id, b"", fin=True)

    async with foreign(go_server(finish)) as url:
        assert await run_command(url, stdout=Collected(), transport="spdy") == 0


async def test_a_stream_that_is_refused_is_not_a_success() -> None:
    def finish(connection: Connection, streams: dict[str, int]) -> None:
        for stream_id in streams.values():
            connection.reset(stream_id, ResetStatus.REFUSED_STREAM)

    async with foreign(go_server(finish)) as url:
        with pytest.raises(Unavailable):
            await run_command(url, stdout=Collected(), transport="spdy")


async def test_a_session_that_breaks_off_before_the_outcome_is_not_a_success() -> None:
    def finish(connection: Connection, streams: dict[str, int]) -> None:
        connection.send_data(streams["stdout"], b"out")
        connection.go_away()

    async with foreign(go_server(finish)) as url:
        with pytest.raises(Unavailable):
            await run_command(url, stdout=Collected(), transport="spdy")
