"""The way to the engine: deadlines, dead connections, answers of every form, and an engine that comes back.

What a healthy engine never does is done by a socket of the test's own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cri.errors import DeadlineExceeded, Internal, NotFound, Unavailable
from cri.networks import NetworkRequest
from cri.v1 import api_pb2 as v1
from runtimes.podman.config import PodmanConfig
from runtimes.podman.engine import LOOKS, Engine
from runtimes.podman.networks import Networks
from runtimes.podman.runtime import PodmanRuntime
from tests.host.podmans import PodmanEngine
from tests.runtimes.listening import Serve, listening
from tests.runtimes.pods import WITHIN


@contextlib.asynccontextmanager
async def speaking_with(serve: Serve, path: Path, call_timeout: float = WITHIN) -> AsyncIterator[Engine]:
    """An Engine at a socket where ``serve`` answers."""
    async with listening(path, serve):
        engine = Engine(PodmanConfig(host=f"unix://{path}", call_timeout=call_timeout))
        try:
            yield engine
        finally:
            await engine.aclose()


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Serve:
    """Each connection answers its requests with ``answers`` in turn, then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            request = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(request)
            writer.write(answer)
            await writer.drain()

    return serve


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_call_that_is_not_answered_ends_with_its_time(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with speaking_with(silent, tmp_path / "s", 0.5) as engine:
        with pytest.raises(DeadlineExceeded, match=r"0\.5 s"):
            await engine.get("/info")


async def test_a_body_that_is_cut_off_is_an_engine_that_is_away(tmp_path: Path) -> None:
    async with speaking_with(answering(answer(b"{}" * 50)[:-30]), tmp_path / "s") as engine:
        with pytest.raises(Unavailable):
            await engine.get("/info")


async def test_a_file_that_is_cut_off_is_an_engine_that_is_away(tmp_path: Path) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"x" * 100)[:-30])
        await reader.read()

    async with speaking_with(late, tmp_path / "s", 0.5) as engine:
        with pytest.raises((DeadlineExceeded, Unavailable)):
            await engine.get_bytes("/containers/x/archive")


async def test_nobody_at_the_socket_is_an_engine_that_is_away(tmp_path: Path) -> None:
    engine = Engine(PodmanConfig(host=f"unix://{tmp_path}/none"))
    try:
        with pytest.raises(Unavailable, match="No such file"):
            await engine.get("/info")
    finally:
        await engine.aclose()


async def test_a_connection_that_the_engine_closed_meanwhile_is_opened_anew(tmp_path: Path) -> None:
    async with speaking_with(answering(answer(b'{"n": 1}')), tmp_path / "s") as engine:
        assert [await engine.get("/info") for _ in range(3)] == [{"n": 1}] * 3


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(answer(b"[1]"), [1]), (answer(b"abc", kind="text/plain"), "abc"), (answer(b"", "204 No Content"), None)],
)
async def test_an_answer_is_what_the_engine_says_it_is(tmp_path: Path, sent: bytes, expected: object) -> None:
    async with speaking_with(answering(sent), tmp_path / "s") as engine:
        assert await engine.get("/x") == expected


async def test_calls_go_to_libpod_in_the_version_that_was_learnt(tmp_path: Path) -> None:
    seen: list[bytes] = []
    async with speaking_with(answering(answer(b"{}"), seen=seen), tmp_path / "s") as engine:
        await engine.get("/x", params={"all": True, "n": 3})
    assert seen[0].startswith(b"GET /v4.0.0/libpod/x?all=true&n=3 HTTP/1.1\r\n")


async def test_the_engines_own_words_are_the_message(tmp_path: Path) -> None:
    failure = answer(b'{"cause": "no such pod", "message": "no pod x: no such pod", "response": 404}', "404 Not Found")
    async with speaking_with(answering(failure, failure), tmp_path / "s") as engine:
        with pytest.raises(NotFound, match="no pod x"):
            await engine.get("/pods/x/json")
        assert await engine.inspect("pods", "x") is None


async def test_what_could_not_be_part_of_a_path_names_nothing(tmp_path: Path) -> None:
    async with speaking_with(answering(), tmp_path / "s") as engine:
        for name in ("", "../info", "a b", "a/b", "a?b"):
            assert await engine.inspect("containers", name) is None


async def test_an_engine_that_was_away_is_found_again(private_podman_engine: PodmanEngine) -> None:
    async with await PodmanRuntime.open(PodmanConfig(host=private_podman_engine.address)) as runtime:
        private_podman_engine.stop()
        try:
            with pytest.raises(Unavailable):
                await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())
            status = (await runtime.status(v1.StatusRequest())).status
            assert [condition.status for condition in status.conditions] == [False, False]
        finally:
            private_podman_engine.start()
        assert not (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items


async def test_a_look_that_stumbles_over_an_end_is_taken_again(tmp_path: Path) -> None:
    stumble = answer(b'{"cause": "read /proc/7/cgroup: no such process"}', "500 Internal Server Error")
    async with speaking_with(answering(stumble, answer(b'{"Id": "c"}')), tmp_path / "s") as engine:
        assert await engine.inspect("containers", "c") == {"Id": "c"}


async def test_a_look_that_never_succeeds_says_why(tmp_path: Path) -> None:
    broken = answer(b'{"cause": "broken", "message": "it is broken"}', "500 Internal Server Error")
    async with speaking_with(answering(*[broken] * LOOKS), tmp_path / "s") as engine:
        with pytest.raises(Internal, match="it is broken"):
            await engine.inspect("containers", "c")


STUMBLE = b'{"cause": "no such network interface", "message": "route ip+net: no such network interface"}'


async def test_a_post_that_stumbles_over_an_interface_that_goes_is_sent_again(tmp_path: Path) -> None:
    stumble = answer(STUMBLE, "500 Internal Server Error")
    async with speaking_with(answering(stumble, answer(b'{"Id": "p"}')), tmp_path / "s") as engine:
        assert await engine.post_again("/pods/p/start") == {"Id": "p"}


async def test_a_named_network_is_made_though_an_interface_goes_meanwhile(tmp_path: Path) -> None:
    stumble = answer(STUMBLE, "500 Internal Server Error")
    missing = answer(b'{"cause": "no such network", "message": "no network n: no such network"}', "404 Not Found")
    async with speaking_with(answering(missing, stumble, answer(b"{}")), tmp_path / "s") as engine:
        assert await Networks(engine).require(NetworkRequest(network="n"))
