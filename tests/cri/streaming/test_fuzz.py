"""Whatever a peer sends, a parser takes it or raises its own protocol's error, in bounded time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tracemalloc
import zlib
from collections.abc import Coroutine, Iterator
from typing import Any, cast

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as WebSocketProtocolConnection

from cri.errors import CRIError
from cri.streaming import SizeQueue, handshake, status
from cri.streaming.channels import ChannelCodec, ChannelError
from cri.streaming.client.handshake import Target, upgrade_to_spdy, upgrade_to_websocket
from cri.streaming.handshake import Refused, RequestReader
from cri.streaming.spdy import Connection, Limits, ProtocolError, Role, frames
from cri.streaming.spdy.errors import HeadersTooLarge
from cri.streaming.spdy.headers import DICTIONARY
from cri.streaming.subprotocols import SPDY_COMMAND, WEBSOCKET_COMMAND
from cri.streaming.transport import SocketTransport
from cri.streaming.websocket import WebSocket
from tests.cri.streaming.fuzz import (
    cut,
    fuzz,
    http_request,
    http_response,
    mutated,
    spdy_session,
    websocket_session,
)

LONGEST = 16 * 1024
"""Bytes of the longest input, and of the most that a parser may hold or answer for it."""


class Wire:
    """A transport whose peer has already said everything."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.written = 0

    async def receive(self) -> bytes:
        return next((piece for piece in self._pieces if piece), b"")

    def unread(self, data: bytes) -> None:
        return

    def write(self, data: bytes) -> None:
        self.written += len(data)

    async def drain(self) -> None:
        return

    async def flush(self) -> None:
        return


@pytest.mark.parametrize("role", Role)
def test_spdy_takes_any_bytes(role: Role) -> None:
    def run(rng: random.Random) -> None:
        connection = Connection(role, Limits(streams=2))
        if role is Role.CLIENT:
            connection.open_stream({"streamtype": "error"})
        answered = 0
        with contextlib.suppress(ProtocolError):
            for piece in cut(rng, mutated(rng, spdy_session(rng))):
                for _ in connection.receive(piece):
                    pass
                answered += len(connection.data_to_send())
        assert len(connection._parser._buffer) <= LONGEST
        assert len(connection._streams) <= 3
        assert answered <= LONGEST

    fuzz(f"spdy {role.name}", 0.2, run)


def test_spdy_takes_noise() -> None:
    def run(rng: random.Random) -> None:
        connection = Connection(Role.SERVER)
        with contextlib.suppress(ProtocolError):
            for piece in cut(rng, rng.randbytes(rng.randrange(300))):
                for _ in connection.receive(piece):
                    pass

    fuzz("noise", 0.05, run)


@pytest.mark.parametrize("side", [ConnectionType.SERVER, ConnectionType.CLIENT], ids=lambda side: side.name)
def test_websocket_channels_take_any_bytes(side: ConnectionType) -> None:
    protocols = list(WEBSOCKET_COMMAND.values())

    async def session(rng: random.Random) -> None:
        masked = (side is ConnectionType.SERVER) != (rng.random() < 0.05)
        wire = Wire(cut(rng, mutated(rng, websocket_session(rng, masked=masked))))
        # After the handshake, which is another test, a WSConnection is one of these.
        connection = cast("WSConnection", WebSocketProtocolConnection(side))
        socket, codec = WebSocket(connection, wire), ChannelCodec(rng.choice(protocols))
        with contextlib.suppress(ChannelError):
            while (piece := await socket.receive()) is not None:
                for _ in codec.decode(piece):
                    pass
                assert len(codec._carry) < 4
        assert wire.written <= LONGEST

    fuzz(f"websocket {side.name}", 0.15, lambda rng: finish(session(rng)))


def finish(session: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits, which saves an event loop's time."""
    with contextlib.suppress(StopIteration):
        session.send(None)
        pytest.fail("it waited")


def test_the_servers_handshake_takes_any_bytes() -> None:
    def run(rng: random.Random) -> None:
        reader = RequestReader()
        try:
            for piece in cut(rng, mutated(rng, http_request(rng))):
                if (request := reader.feed(piece)) is not None:
                    if request.upgrades_to("websocket"):
                        chosen = handshake.choose_websocket(request, WEBSOCKET_COMMAND)
                        handshake.grant_websocket(request, chosen)
                    else:
                        reader.grant_spdy(handshake.choose_spdy(request, SPDY_COMMAND))
                    return
        except Refused as refused:
            reader.refusal(refused)

    fuzz("request", 0.1, run)


@pytest.mark.parametrize("transport", ["websocket", "spdy"])
def test_the_clients_handshake_takes_any_bytes(transport: str) -> None:
    target = Target.parse("http://h/exec/token", None)

    async def handshake_with(rng: random.Random) -> None:
        wire = cast("SocketTransport", Wire(cut(rng, mutated(rng, http_response(rng)))))
        with contextlib.suppress(CRIError):
            if transport == "websocket":
                await upgrade_to_websocket(wire, target, ["v5.channel.k8s.io"])
            else:
                await upgrade_to_spdy(wire, target, ["v4.channel.k8s.io"])

    with asyncio.Runner() as runner:
        fuzz(f"response {transport}", 0.025, lambda rng: runner.run(handshake_with(rng)))


def test_a_status_is_read_from_any_bytes() -> None:
    seeds = [
        status.encode(outcome, structured=True)
        for outcome in (status.Outcome(), status.Outcome(exit_code=3), status.Outcome(failure="no"))
    ]

    def run(rng: random.Random) -> None:
        with contextlib.suppress(CRIError):
            status.decode(mutated(rng, rng.choice(seeds)))

    fuzz("status", 0.05, run)


def test_sizes_are_read_from_any_bytes() -> None:
    def run(rng: random.Random) -> None:
        sizes = SizeQueue()
        for piece in cut(rng, mutated(rng, b'{"Width":80,"Height":24}\n' * rng.randrange(1, 4))):
            sizes.feed(piece)
        assert len(sizes._text) <= LONGEST

    fuzz("sizes", 0.05, run)


def test_header_bombs_take_no_memory() -> None:
    """Each is 64 KiB on the wire and 64 MiB unfolded."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    block = (deflater.compress(bytes(64 << 20)) + deflater.flush(zlib.Z_SYNC_FLUSH))[: (64 << 10) - 10]
    bomb = frames.SynStream(1, block).encode()
    tracemalloc.start()
    try:
        for _ in range(20):
            with pytest.raises(HeadersTooLarge):
                list(Connection(Role.SERVER).receive(bomb))
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
