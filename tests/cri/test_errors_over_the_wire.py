"""An error that a backend raises is the error that a caller catches, wherever the two are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

import cri
from cri import errors
from cri.client import Client
from cri.errors import CRIError
from cri.status import DETAILS_TRAILER, MESSAGE_LIMIT
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import scripted

ALL_ERRORS = sorted(
    (
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, CRIError) and cls is not CRIError
    ),
    key=lambda cls: cls.__name__,
)


def raising(error: BaseException) -> Callable[[Any], Awaitable[Any]]:
    async def answer(request: object) -> object:
        raise error

    return answer


async def caught(address: str, error: BaseException) -> CRIError:
    """What a caller of Version sees when the backend raises ``error``."""
    async with cri.serve(scripted(version=raising(error)), address), cri.connect(address) as client:
        with pytest.raises(CRIError) as caught:
            await client.version(v1.VersionRequest())
    return caught.value


@pytest.mark.parametrize("cls", ALL_ERRORS)
async def test_an_error_keeps_class_message_and_details(cls: type[CRIError], address: str) -> None:
    seen = await caught(address, cls("pod ünïcode — gone", details={"pod": "a/b"}))
    assert (type(seen), seen.message, seen.details) == (cls, "pod ünïcode — gone", {"pod": "a/b"})


async def test_an_error_in_the_middle_of_a_stream_arrives_after_what_came_before(address: str) -> None:
    async def events(request: object) -> AsyncIterator[v1.ContainerEventResponse]:
        yield v1.ContainerEventResponse(container_id="first")
        raise errors.Unavailable("the engine is gone", details={"engine": "x"})

    async with cri.serve(scripted(get_container_events=events), address), cri.connect(address) as client:
        stream = client.get_container_events(v1.GetEventsRequest())
        assert (await anext(stream)).container_id == "first"
        with pytest.raises(errors.Unavailable, match="the engine is gone") as failure:
            await anext(stream)
    assert failure.value.details == {"engine": "x"}


async def test_a_bug_in_a_backend_is_internal_and_only_the_log_has_the_traceback(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = await caught(address, KeyError("secret_variable"))
    assert type(seen) is errors.Internal
    assert "Version" in seen.message
    assert "secret_variable" not in seen.message
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "secret_variable" in caplog.text


async def test_a_time_limit_that_a_backend_did_not_translate_is_deadline_exceeded(address: str) -> None:
    async def answer(request: object) -> object:
        async with asyncio.timeout(0):
            return await asyncio.Event().wait()

    async with cri.serve(scripted(version=answer), address), cri.connect(address) as client:
        with pytest.raises(errors.DeadlineExceeded, match="Version"):
            await client.version(v1.VersionRequest())


async def test_a_cancellation_that_nobody_asked_for_is_internal_rather_than_no_answer(address: str) -> None:
    assert type(await caught(address, asyncio.CancelledError())) is errors.Internal


async def test_an_answer_of_the_wrong_type_is_internal(address: str) -> None:
    async def answer(request: object) -> object:
        return v1.StatusResponse()

    async with cri.serve(scripted(version=answer), address), cri.connect(address) as client:
        with pytest.raises(errors.Internal):
            await client.version(v1.VersionRequest())


async def test_a_very_long_message_is_cut_rather_than_lost(address: str) -> None:
    seen = await caught(address, errors.NotFound("ä" * 100_000, details={"log": "y" * 100_000, "id": "4f"}))
    assert type(seen) is errors.NotFound
    assert seen.message.startswith("ää")
    assert len(seen.message.encode()) <= MESSAGE_LIMIT + len("…".encode())
    assert seen.details["log"].startswith("yy")
    assert seen.details["id"] == "4f"


async def test_a_message_that_is_no_valid_unicode_still_arrives(address: str) -> None:
    assert type(await caught(address, errors.NotFound("path \udcff"))) is errors.NotFound


@asynccontextmanager
async def foreign_server(
    address: str, code: grpc.StatusCode, message: str, trailers: tuple[tuple[str, bytes], ...] = ()
) -> AsyncIterator[Client]:
    """A server that is not ours: Version fails as gRPC itself would say it."""

    async def version(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(code, message, trailers)

    handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(version)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("runtime.v1.RuntimeService", {"Version": handler})]
    )
    server.add_insecure_port(address.replace("unix://", "unix:"))
    await server.start()
    try:
        async with cri.connect(address) as client:
            yield client
    finally:
        await server.stop(None)


BY_CODE = [(cls.code, cls) for cls in ALL_ERRORS if CRIError in cls.__bases__]


@pytest.mark.parametrize(("code", "cls"), BY_CODE)
async def test_a_foreign_servers_error_is_the_class_of_its_code(
    code: grpc.StatusCode, cls: type[CRIError], address: str
) -> None:
    async with foreign_server(address, code, "no such thing") as client:
        with pytest.raises(cls, match=r"^no such thing$"):
            await client.version(v1.VersionRequest())


async def test_a_foreign_servers_broken_details_leave_code_and_message(address: str) -> None:
    trailers = ((DETAILS_TRAILER, b"\xff\xff not a message"),)
    async with foreign_server(address, grpc.StatusCode.NOT_FOUND, "gone", trailers) as client:
        with pytest.raises(errors.NotFound, match=r"^gone$"):
            await client.version(v1.VersionRequest())


async def test_a_foreign_servers_error_without_a_message_says_its_code(address: str) -> None:
    async with foreign_server(address, grpc.StatusCode.FAILED_PRECONDITION, "") as client:
        with pytest.raises(errors.FailedPrecondition, match="failed precondition"):
            await client.version(v1.VersionRequest())


async def test_a_reason_in_a_foreign_domain_chooses_no_class_of_ours(address: str) -> None:
    from google.rpc import error_details_pb2, status_pb2

    rich = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="gone")
    rich.details.add().Pack(
        error_details_pb2.ErrorInfo(reason="PLATFORM_MISMATCH", domain="example.org", metadata={"a": "b"})
    )
    trailers = ((DETAILS_TRAILER, rich.SerializeToString()),)
    async with foreign_server(address, grpc.StatusCode.NOT_FOUND, "gone", trailers) as client:
        with pytest.raises(errors.NotFound) as failure:
            await client.version(v1.VersionRequest())
    assert type(failure.value) is errors.NotFound
    assert failure.value.details == {"a": "b"}
