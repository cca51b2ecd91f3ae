"""Exec over real sockets, in every protocol that a client may choose."""

from __future__ import annotations

import json

import pytest

from cri.errors import NotFound
from cri.streaming import StreamingServer, StreamIO, TerminalSize
from cri.v1 import api_pb2 as v1
from tests.cri.streaming.handlers import Handler, echo, exec_request, exits
from tests.cri.streaming.peers import EVERY, STRUCTURED, command_peer, spdy_peer, websocket_peer
from tests.cri.streaming.sessions import session


def exit_code(status: bytes) -> int:
    """As client-go reads it."""
    said = json.loads(status)
    if said["status"] == "Success":
        return 0
    assert said["reason"] == "NonZeroExitCode"
    return int(said["details"]["causes"][0]["message"])


@pytest.mark.parametrize("speaking", EVERY)
async def test_both_outputs_arrive(speaking: str) -> None:
    async with session(
        Handler(exits(0, b"out", b"err")), exec_request(stderr=True), speaking, "stdout", "stderr"
    ) as peer:
        await peer.to_the_end()
        assert (peer.received["stdout"], peer.received["stderr"]) == (b"out", b"err")


@pytest.mark.parametrize("speaking", STRUCTURED)
@pytest.mark.parametrize("code", [0, 3])
async def test_the_exit_code_arrives(speaking: str, code: int) -> None:
    async with session(Handler(exits(code)), exec_request(), speaking, "stdout") as peer:
        await peer.to_the_end()
        assert exit_code(peer.received["error"]) == code


@pytest.mark.parametrize("speaking", [each for each in EVERY if each not in STRUCTURED])
async def test_early_versions_are_told_of_a_failure_in_words(speaking: str) -> None:
    async with session(Handler(exits(3)), exec_request(), speaking, "stdout") as peer:
        await peer.to_the_end()
        assert peer.received["error"] == b"command terminated with exit code 3"


@pytest.mark.parametrize("speaking", [each for each in EVERY if each not in STRUCTURED])
async def test_early_versions_are_told_nothing_after_a_success(speaking: str) -> None:
    async with session(Handler(exits(0)), exec_request(), speaking, "stdout") as peer:
        await peer.to_the_end()
        assert peer.received.get("error", b"") == b""


@pytest.mark.parametrize("speaking", EVERY)
async def test_input_goes_in_and_output_comes_out(speaking: str) -> None:
    async with session(Handler(echo), exec_request(stdin=True), speaking, "stdin", "stdout") as peer:
        await peer.send("stdin", b"ping\n")
        await peer.until_received("stdout", b"ping\n")


@pytest.mark.parametrize("speaking", [each for each in EVERY if each.startswith("spdy") or " v5" in each])
async def test_the_end_of_input_reaches_the_command_and_its_output_still_comes(speaking: str) -> None:
    async def count(request: v1.ExecRequest, io: StreamIO) -> int:
        size = len(await io.stdin.read_all(1 << 20))
        await io.stdout.write(f"{size} bytes".encode())
        return 0

    async with session(Handler(count), exec_request(stdin=True), speaking, "stdin", "stdout") as peer:
        await peer.send("stdin", b"x" * 70_000)
        await peer.end("stdin")
        await peer.to_the_end()
        assert peer.received["stdout"] == b"70000 bytes"


@pytest.mark.parametrize("speaking", [each for each in EVERY if " v2" not in each and each != "spdy channel.k8s.io"])
async def test_a_terminal_is_resized(speaking: str) -> None:
    async def report(request: v1.ExecRequest, io: StreamIO) -> int:
        seen = [await anext(io.resizes), await anext(io.resizes)]
        await io.stdout.write(repr([tuple(size) for size in seen]).encode())
        return 0

    async with session(
        Handler(report), exec_request(stdin=True, tty=True), speaking, "stdin", "stdout", "resize"
    ) as peer:
        await peer.send("resize", b'{"Width":80,"Height":24}\n')
        await peer.send("resize", b'{"Width":132,"Height":50}\n')
        await peer.to_the_end()
        assert peer.received["stdout"] == b"[(80, 24), (132, 50)]"


@pytest.mark.parametrize("speaking", EVERY)
async def test_a_terminal_has_no_stderr_stream(speaking: str) -> None:
    """The session begins without one, and what a handler writes there goes nowhere."""
    streams = (
        ["stdin", "stdout"] if " v2" in speaking or speaking == "spdy channel.k8s.io" else ["stdin", "stdout", "resize"]
    )
    async with session(
        Handler(exits(0, b"out", b"err")), exec_request(stdin=True, tty=True), speaking, *streams
    ) as peer:
        await peer.to_the_end()
        assert peer.received["stdout"] == b"out"
        assert "stderr" not in peer.received


async def test_a_stream_that_the_request_did_not_ask_for_is_refused() -> None:
    async with (
        StreamingServer(Handler(echo)) as server,
        spdy_peer(await server.exec_url(exec_request(stdin=True, tty=True)), "v4.channel.k8s.io") as peer,
    ):
        await peer.open("error")
        await peer.open("stderr")
        await peer.until(lambda: "stderr" in peer.reset)


async def test_input_that_the_request_did_not_ask_for_is_not_read() -> None:
    async with (
        StreamingServer(Handler(echo)) as server,
        websocket_peer(await server.exec_url(exec_request()), "v4.channel.k8s.io") as peer,
    ):
        await peer.send("stdin", b"ignored")
        await peer.to_the_end()
        assert peer.received["stdout"] == b""


@pytest.mark.parametrize("speaking", EVERY)
async def test_a_lot_of_output_arrives_whole_and_in_order(speaking: str) -> None:
    lot = b"".join(b"%07d\n" % number for number in range(200_000))
    async with session(Handler(exits(0, lot)), exec_request(), speaking, "stdout") as peer:
        await peer.to_the_end()
        assert peer.received["stdout"] == lot


@pytest.mark.parametrize("speaking", STRUCTURED)
async def test_an_error_of_the_backend_is_told_in_its_own_words(speaking: str) -> None:
    async def missing(request: v1.ExecRequest, io: StreamIO) -> int:
        raise NotFound("container c is gone")

    async with session(Handler(missing), exec_request(), speaking, "stdout") as peer:
        await peer.to_the_end()
        assert json.loads(peer.received["error"])["message"] == "container c is gone"


async def test_a_bug_of_the_backend_is_told_without_its_text_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: v1.ExecRequest, io: StreamIO) -> int:
        raise KeyError("secret")

    async with session(Handler(broken), exec_request(), STRUCTURED[0], "stdout") as peer:
        await peer.to_the_end()
        assert json.loads(peer.received["error"])["message"].startswith("internal error: KeyError")
    assert "secret" in caplog.text


@pytest.mark.parametrize("speaking", EVERY)
async def test_the_request_reaches_the_handler_as_it_was_made(speaking: str) -> None:
    seen: list[v1.ExecRequest] = []

    async def look(request: v1.ExecRequest, io: StreamIO) -> int:
        seen.append(request)
        return 0

    request = v1.ExecRequest(container_id="c1", cmd=["echo", "a b", "ü"], stdout=True)
    async with session(Handler(look), request, speaking, "stdout") as peer:
        await peer.to_the_end()
    assert seen == [request]


async def test_attach_ends_well_when_its_handler_does() -> None:
    async def attach(request: v1.AttachRequest, io: StreamIO) -> None:
        await io.stdout.write(f"attached to {request.container_id}".encode())

    async with StreamingServer(Handler(attach=attach)) as server:
        url = await server.attach_url(v1.AttachRequest(container_id="c", stdout=True))
        async with command_peer(url, "spdy v4.channel.k8s.io", "stdout") as peer:
            await peer.to_the_end()
            assert peer.received["stdout"] == b"attached to c"
            assert exit_code(peer.received["error"]) == 0


async def test_the_streams_end_before_the_outcome_is_told() -> None:
    """The Go client reads its outputs to their end and only then looks for the outcome."""
    async with (
        StreamingServer(Handler(exits(0, b"out"))) as server,
        spdy_peer(await server.exec_url(exec_request()), "v4.channel.k8s.io") as peer,
    ):
        await peer.open("error")
        await peer.open("stdout")
        await peer.until(lambda: "error" in peer.ended)
        assert "stdout" in peer.ended


async def test_a_websocket_is_greeted_before_anything_is_written() -> None:
    """Clients wait for a first message to know that the session is up."""
    async with (
        StreamingServer(Handler(echo)) as server,
        websocket_peer(await server.exec_url(exec_request(stdin=True)), "v4.channel.k8s.io") as peer,
    ):
        await peer.until(lambda: peer.messages)
        assert peer.messages == [(1, b"")]


async def test_a_size_is_columns_and_rows() -> None:
    assert TerminalSize(width=80, height=24) == (80, 24)
