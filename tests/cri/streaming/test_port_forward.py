"""Port-forward over real sockets: SPDY, SPDY in a WebSocket, and WebSocket channels."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cri.errors import Unavailable
from cri.streaming import DuplexStream, StreamingServer
from cri.streaming.port_forward import SpdyPortForward
from cri.streaming.spdy import frames
from cri.streaming.spdy.headers import HeaderEncoder
from cri.streaming.transport import IdleWatch
from cri.v1 import api_pb2 as v1
from tests.cri.streaming.handlers import Handler, echo_connection, forever_forwarding
from tests.cri.streaming.peers import SpdyPeer, WebSocketPeer, spdy_peer, websocket_peer

PROTOCOL = "portforward.k8s.io"


@asynccontextmanager
async def forwarding(handler: Handler, **options: float) -> AsyncIterator[SpdyPeer]:
    async with StreamingServer(handler, **options) as server:  # type: ignore[arg-type]
        url = await server.port_forward_url(v1.PortForwardRequest(pod_sandbox_id="p"))
        async with spdy_peer(url, PROTOCOL) as peer:
            yield peer


@asynccontextmanager
async def forwarding_channels(handler: Handler, subprotocol: str, *ports: int) -> AsyncIterator[WebSocketPeer]:
    async with StreamingServer(handler) as server:
        url = await server.port_forward_url(v1.PortForwardRequest(pod_sandbox_id="p", port=ports))
        async with websocket_peer(url, subprotocol) as peer:
            yield peer


async def connect(peer: SpdyPeer, name: str, port: int = 80) -> None:
    """A connection as kubectl makes it; its streams are ``name`` and ``name``-error."""
    headers = {"port": str(port), "requestid": name}
    await peer.open(f"{name}-error", {**headers, "streamtype": "error"})
    await peer.end(f"{name}-error")
    await peer.open(name, {**headers, "streamtype": "data"})


# --- SPDY ------------------------------------------------------------------------------------------------------------


async def test_a_connection_goes_to_its_port_and_back() -> None:
    async with forwarding(Handler(port_forward=echo_connection)) as peer:
        await connect(peer, "a", 8080)
        await peer.send("a", b"hello")
        await peer.until_received("a", b"p:8080 hello")


async def test_a_connection_that_ends_well_ends_both_its_streams_without_a_word() -> None:
    async with forwarding(Handler(port_forward=echo_connection)) as peer:
        await connect(peer, "a")
        await peer.end("a")
        await peer.until(lambda: {"a", "a-error"} <= peer.ended)
        assert "a-error" not in peer.received


async def test_several_connections_at_once_do_not_mix() -> None:
    async with forwarding(Handler(port_forward=echo_connection)) as peer:
        names = [f"n{number}" for number in range(20)]
        for number, name in enumerate(names):
            await connect(peer, name, 8000 + number)
        for name in names:
            await peer.send(name, name.encode())
        for number, name in enumerate(names):
            await peer.until_received(name, f"p:{8000 + number} {name}".encode())


async def test_one_connection_ends_and_the_others_go_on() -> None:
    async with forwarding(Handler(port_forward=echo_connection)) as peer:
        await connect(peer, "a")
        await connect(peer, "b")
        await peer.end("a")
        await peer.until(lambda: "a" in peer.ended)
        await peer.send("b", b"still here")
        await peer.until_received("b", b"still here")


async def test_a_connection_that_cannot_be_made_is_told_why_and_the_others_go_on() -> None:
    async def serve(sandbox_id: str, port: int, stream: DuplexStream) -> None:
        if port == 81:
            raise Unavailable("connection refused")
        await echo_connection(sandbox_id, port, stream)

    async with forwarding(Handler(port_forward=serve)) as peer:
        await connect(peer, "a", 81)
        await connect(peer, "b", 80)
        await peer.until(lambda: "a-error" in peer.ended and "a" in peer.reset)
        assert peer.received["a-error"] == b"error forwarding port 81: connection refused"
        await peer.until_received("b", b"p:80 ")


async def test_a_bug_of_the_backend_is_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("secret")

    async with forwarding(Handler(port_forward=broken)) as peer:
        await connect(peer, "a")
        await peer.until(lambda: "a-error" in peer.ended)
        assert b"secret" not in peer.received["a-error"]
    assert "secret" in caplog.text


async def test_a_connection_that_the_client_resets_cancels_its_handler_only() -> None:
    handler = Handler(port_forward=forever_forwarding)
    async with forwarding(handler) as peer:
        await connect(peer, "a")
        await connect(peer, "b")
        await peer.abort("a")
        assert await handler.ends.get() == "cancelled"
        assert handler.ends.empty()


async def test_a_failure_whose_error_stream_the_client_has_reset_still_ends_the_connection() -> None:
    gone = asyncio.Event()

    async def fail(*_: object) -> None:
        await gone.wait()
        raise Unavailable("nobody hears this")

    async with forwarding(Handler(port_forward=fail)) as peer:
        await connect(peer, "a")
        await peer.abort("a-error")
        await connect(peer, "b")  # whose answer shows that the reset has arrived
        gone.set()
        await peer.until(lambda: "a" in peer.reset)


@pytest.mark.parametrize(
    "headers",
    [
        {"streamtype": "data"},
        {"streamtype": "data", "port": "0"},
        {"streamtype": "data", "port": "65536"},
        {"streamtype": "data", "port": "-1"},
        {"streamtype": "data", "port": "\uff18\uff10"},
        {"streamtype": "stdin", "port": "80"},
        {"port": "80"},
    ],
    ids=str,
)
async def test_a_stream_that_belongs_to_no_connection_is_refused(headers: dict[str, str]) -> None:
    encodable = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
    async with forwarding(Handler()) as peer:
        await peer.open("a", encodable)
        await peer.until(lambda: "a" in peer.reset)


async def test_two_streams_of_one_kind_and_request_are_one_too_many() -> None:
    async with forwarding(Handler()) as peer:
        for name in ("a", "b"):
            await peer.open(name, {"streamtype": "error", "port": "80", "requestid": "1"})
        await peer.until(lambda: "b" in peer.reset)


async def test_streams_without_request_ids_belong_together_in_their_order() -> None:
    """As clients sent them before there were request ids."""
    async with forwarding(Handler(port_forward=echo_connection)) as peer:
        await peer.open("a-error", {"streamtype": "error", "port": "80"})
        await peer.open("a", {"streamtype": "data", "port": "80"})
        await peer.until_received("a", b"p:80 ")


async def test_a_connection_of_one_stream_is_given_up_after_a_while_and_the_session_goes_on() -> None:
    async with forwarding(Handler(port_forward=echo_connection), stream_creation_timeout=0.5) as peer:
        await peer.open("a", {"streamtype": "error", "port": "80", "requestid": "a"})
        await peer.until(lambda: "a" in peer.ended)
        assert b"only one of the streams" in peer.received["a"]
        await connect(peer, "b")
        await peer.until_received("b", b"p:80 ")


async def test_a_session_that_idles_for_too_long_ends() -> None:
    handler = Handler(port_forward=forever_forwarding)
    async with forwarding(handler, idle_limit=0.5) as peer:
        await connect(peer, "a")
        await peer.to_the_end()
        assert await handler.ends.get() == "cancelled"


async def test_a_client_that_vanishes_cancels_all_its_handlers() -> None:
    handler = Handler(port_forward=forever_forwarding)
    async with forwarding(handler) as peer:
        await connect(peer, "a")
        await connect(peer, "b")
        peer.writer.close()
        assert [await handler.ends.get(), await handler.ends.get()] == ["cancelled", "cancelled"]


async def test_a_flood_of_half_connections_and_resets_leaves_nothing_behind() -> None:
    class Flood:
        """A client that opens and resets a stream for a request of its own, a thousand times, and then waits."""

        def __init__(self) -> None:
            self.done = asyncio.Event()
            encoder, self._wire = HeaderEncoder(), b""
            for number in range(1, 2001, 2):
                block = encoder.encode({"streamtype": "data", "port": "80", "requestid": str(number)})
                self._wire += frames.SynStream(number, block).encode() + frames.RstStream(number, 5).encode()

        async def receive(self) -> bytes:
            if not self._wire:
                self.done.set()
                await asyncio.Event().wait()
            wire, self._wire = self._wire, b""
            return wire

        def write(self, data: bytes) -> None:
            return

        async def drain(self) -> None:
            return

        flush = drain

    async def nothing_to_forward(port: int, stream: DuplexStream) -> None:
        raise AssertionError("no connection was complete")

    flood = Flood()
    forward = SpdyPortForward(flood, nothing_to_forward, IdleWatch(60), creation_timeout=30)
    serving = asyncio.create_task(forward.serve())
    await flood.done.wait()
    assert forward._incomplete == {}
    serving.cancel()
    await asyncio.wait({serving})


# --- SPDY inside a WebSocket -----------------------------------------------------------------------------------------


async def test_spdy_travels_inside_a_websocket() -> None:
    async with forwarding_channels(Handler(port_forward=echo_connection), f"SPDY/3.1+{PROTOCOL}") as websocket:
        spdy = SpdyPeer(websocket._reader, websocket.writer)
        websocket._piece = lambda piece, whole: spdy._take(piece)  # type: ignore[method-assign]
        for number, kind in enumerate(("error", "data")):
            spdy.ids[kind] = spdy.connection.open_stream({"streamtype": kind, "port": "80", "requestid": "1"})
            await tunnel(websocket, spdy)
            await websocket.until(lambda number=number: len(spdy.accepted) > number)  # type: ignore[misc]
        spdy.connection.send_data(spdy.ids["data"], b"hello")
        await tunnel(websocket, spdy)
        await websocket.until(lambda: spdy.received.get("data") == b"p:80 hello")


async def tunnel(websocket: WebSocketPeer, spdy: SpdyPeer) -> None:
    """The bytes of SPDY as two messages, since where messages end means nothing."""
    wire = spdy.connection.data_to_send()
    for piece in (wire[:5], wire[5:]):
        await websocket.send_message(piece)


# --- WebSocket channels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subprotocol", ["v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""])
async def test_each_port_has_a_data_and_an_error_channel_that_first_name_it(subprotocol: str) -> None:
    async with forwarding_channels(Handler(port_forward=forever_forwarding), subprotocol, 80, 8080) as peer:
        await peer.until(lambda: len(peer.messages) >= 4)
        named = {channel: struct.unpack("<H", data)[0] for channel, data in peer.messages}
        assert named == {0: 80, 1: 80, 2: 8080, 3: 8080}


@pytest.mark.parametrize("subprotocol", ["v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""])
async def test_ports_share_a_websocket_without_mixing(subprotocol: str) -> None:
    async with forwarding_channels(Handler(port_forward=echo_connection), subprotocol, 80, 8080) as peer:
        await peer.send_to(0, b"first")
        await peer.send_to(2, b"second")
        await peer.until(lambda: said(peer, 0) == b"p:80 first" and said(peer, 2) == b"p:8080 second")


async def test_a_failure_is_told_on_the_ports_error_channel() -> None:
    async def refuse(*_: object) -> None:
        raise Unavailable("connection refused")

    async with forwarding_channels(Handler(port_forward=refuse), "v4.channel.k8s.io", 80) as peer:
        await peer.to_the_end()
        assert said(peer, 1) == b"error forwarding port 80: connection refused"
        assert peer.code == 1000


async def test_a_websocket_that_vanishes_cancels_its_handlers() -> None:
    handler = Handler(port_forward=forever_forwarding)
    async with forwarding_channels(handler, "v4.channel.k8s.io", 80, 81) as peer:
        await handler.begun.wait()
        peer.writer.close()
        assert [await handler.ends.get(), await handler.ends.get()] == ["cancelled", "cancelled"]


def said(peer: WebSocketPeer, channel: int) -> bytes:
    """What came on a channel after the port's name."""
    return b"".join(data for number, data in peer.messages if number == channel)[2:]
