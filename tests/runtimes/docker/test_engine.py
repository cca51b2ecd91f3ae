"""The way to the engine: deadlines, dead connections, streams, and an engine that goes away and comes back.

What a healthy engine never does (taking a call and not answering it, dropping the connection in the middle) is done by
a socket of the test's own; everything else is done with a real engine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cri.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from cri.v1 import api_pb2 as v1
from runtimes.docker import backend
from runtimes.docker.config import DockerConfig
from runtimes.docker.engine import Engine
from runtimes.docker.engine_errors import for_failed_command, for_status
from runtimes.docker.runtime import DockerRuntime
from runtimes.shared.engine_stream import lines
from tests.host.engines import DockerEngine
from tests.runtimes.docker import calls
from tests.runtimes.docker.examples import sandbox
from tests.runtimes.listening import Serve, listening
from tests.runtimes.pods import WITHIN

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


@contextlib.asynccontextmanager
async def speaking_with(serve: Serve, path: Path, call_timeout: float = WITHIN) -> AsyncIterator[Engine]:
    """An Engine at a socket where ``serve`` answers."""
    async with listening(path, serve):
        engine = Engine(DockerConfig(host=f"unix://{path}", call_timeout=call_timeout))
        try:
            yield engine
        finally:
            await engine.aclose()


async def test_an_engine_that_is_not_there_is_unavailable_with_its_address(tmp_path: Path) -> None:
    config = DockerConfig(host=f"unix://{tmp_path}/none.sock")
    with pytest.raises(Unavailable, match=r"none\.sock.*No such file"):
        await backend.open(config)
    probe = await backend.probe(config)
    assert not probe.available
    assert "none.sock" in probe.detail


async def test_an_engine_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with speaking_with(silent, tmp_path / "docker.sock", 0.3) as engine:
        async with asyncio.timeout(WITHIN):
            with pytest.raises(DeadlineExceeded, match=r"0\.3 s"):
                await engine.call(engine.client.ping)
            with pytest.raises(DeadlineExceeded, match=r"0\.3 s"):
                async with engine.stream("GET", "/events"):
                    pass


async def test_calls_that_wait_for_a_thread_keep_their_deadline(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with speaking_with(silent, tmp_path / "docker.sock", 0.3) as engine:
        async with asyncio.timeout(WITHIN):
            pings = (engine.call(engine.client.ping) for _ in range(3 * engine.config.max_threads))
            answers = await asyncio.gather(*pings, return_exceptions=True)
        assert all(isinstance(answer, DeadlineExceeded) for answer in answers)


async def test_a_pooled_connection_that_died_is_replaced(tmp_path: Path) -> None:
    connections = 0

    async def answer_once_then_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        if connections == 1:
            await reader.readuntil(b"\r\n\r\n")  # the second call, which gets no answer

    async with speaking_with(answer_once_then_hang_up, tmp_path / "docker.sock") as engine:
        assert await engine.call(engine.client.ping)
        assert await engine.call(engine.client.ping)
    assert connections == 2


async def test_a_call_that_changes_things_is_never_sent_twice(tmp_path: Path) -> None:
    sent = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        sent += 1

    async with speaking_with(hang_up, tmp_path / "docker.sock") as engine:
        with pytest.raises(Unavailable):
            await engine.call(engine.client.start, "some-id")
    assert sent == 1


async def test_a_stream_that_is_cut_off_is_unavailable_and_not_the_end(tmp_path: Path) -> None:
    async def half_a_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{1}\n{\r\n8\r\nhalf")

    async with (
        speaking_with(half_a_chunk, tmp_path / "docker.sock") as engine,
        engine.stream("GET", "/events") as answer,
    ):
        received = lines(answer.chunks())
        assert await anext(received) == b"{1}"
        with pytest.raises(Unavailable, match="cut off"):
            await anext(received)


async def test_leaving_a_stream_closes_its_connection(tmp_path: Path) -> None:
    closed = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        closed.set()

    async with speaking_with(endless, tmp_path / "docker.sock") as engine:
        with pytest.raises(KeyError):
            async with engine.stream("GET", "/events"):
                raise KeyError
        await asyncio.wait_for(closed.wait(), WITHIN)


async def test_bytes_that_come_with_the_upgrade_are_not_lost(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Upgrade: tcp" in head
        writer.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly")
        writer.write(await reader.read())

    async with (
        speaking_with(echo, tmp_path / "docker.sock") as engine,
        engine.stream("POST", "/exec/x/start", body=b"{}", upgrade=True) as answer,
    ):
        assert await answer.read() == b"early"
        await answer.write(b"late")
        answer.write_eof()
        assert await answer.read() == b"{}late"
        assert await answer.read() == b""


async def test_lines_are_whole_however_they_are_cut() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in (b'{"a"', b":1}\r\n\n{", b"}\n", b"last"):
            yield piece

    assert [line async for line in lines(chunks())] == [b'{"a":1}', b"{}", b"last"]


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (404, "No such container: x", NotFound),
        (400, "bad", InvalidArgument),
        (418, "teapot", InvalidArgument),
        (403, "network web has active endpoints", FailedPrecondition),
        (403, "authorization denied by plugin x", PermissionDenied),
        (500, "Bind for 0.0.0.0:80 failed: port is already allocated", AlreadyExists),
        (500, "Error starting userland proxy: protocol not supported", Unimplemented),
        (500, "failed to create shim task: OCI runtime create failed: unable to apply caps", FailedPrecondition),
        (500, "write /var/lib/docker/tmp/x: no space left on device", ResourceExhausted),
        (500, "transport is closing: unavailable", Unavailable),
        (500, "something odd", Internal),
        (503, "", Unavailable),
    ],
)
def test_the_status_code_decides_and_behind_500_the_text(status: int, text: str, expected: type[Exception]) -> None:
    error = for_status(status, text)
    assert type(error) is expected
    assert text in error.message
    assert error.details == {"engine_status": str(status)}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('exec: "nope": executable file not found in $PATH: unknown', InvalidArgument),
        ('exec: "/etc/passwd": permission denied: unknown', InvalidArgument),
        ('exec: "/etc": is a directory: permission denied', InvalidArgument),
        ('exec: "/nope": stat /nope: no such file or directory: unknown', InvalidArgument),
        ("exec /script: exec format error", InvalidArgument),
        ("executable file `nope` not found in $PATH: No such file or directory", InvalidArgument),
        ("unable to start container process: open /proc/sys/kernel/x: no such file or directory", FailedPrecondition),
        ("unable to start container process: unable to apply caps: operation not permitted", FailedPrecondition),
        ("ttrpc: closed: unknown", Unavailable),
    ],
)
def test_only_a_command_that_cannot_be_run_is_the_requests_fault(words: str, expected: type[Exception]) -> None:
    error = for_failed_command(f"OCI runtime exec failed: exec failed: {words}")
    assert type(error) is expected
    assert words in error.message


async def test_the_engine_says_why_a_stream_is_refused(docker_engine: DockerEngine) -> None:
    engine = Engine(DockerConfig(host=docker_engine.address))
    try:
        await engine.facts()
        with pytest.raises(NotFound, match="No such container"):
            async with engine.stream("GET", "/containers/no-such/logs", params={"stdout": "1"}):
                pass
    finally:
        await engine.aclose()


async def test_a_probe_tells_version_and_abilities(docker_engine: DockerEngine) -> None:
    probe = await backend.probe(DockerConfig(host=docker_engine.address))
    assert probe.available
    assert probe.version in probe.detail
    assert "recursive_read_only" in probe.features


async def test_a_runtime_outlives_its_engine(private_docker_engine: DockerEngine) -> None:
    config = DockerConfig(host=private_docker_engine.address)
    async with await DockerRuntime.open(config) as runtime:
        request = v1.RunPodSandboxRequest(config=sandbox())
        sandbox_id = (await runtime.run_pod_sandbox(request)).pod_sandbox_id
        await asyncio.gather(*(calls.listed(runtime) for _ in range(8)))
        await asyncio.to_thread(private_docker_engine.stop)
        with pytest.raises(Unavailable, match="dockerd"):
            await calls.listed(runtime)
        conditions = (await runtime.status(v1.StatusRequest())).status.conditions
        assert [condition.status for condition in conditions] == [False, False]
        await asyncio.to_thread(private_docker_engine.start)
        assert await asyncio.gather(*(calls.listed(runtime) for _ in range(8))) == [[sandbox_id]] * 8
        assert (await calls.status(runtime, sandbox_id)).state == v1.SANDBOX_NOTREADY
        await calls.remove(runtime, sandbox_id)
