"""An address, and endpoints behind it: ours, and one that knows nothing of minicri."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest
import trustme

import cri
from cri.rpc import RPCS
from cri.runtime import Runtime
from cri.tls import Tls
from tests.cri.conftest import write_tls

Answers = dict[str, Callable[[Any], Any]]


@pytest.fixture
def address() -> Iterator[str]:
    with TemporaryDirectory(prefix="cri") as directory:  # pytest's own path may be too long for a socket
        yield f"unix://{directory}/x.sock"


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    authority = trustme.CA()
    return write_tls(tmp_path / "tls", authority, authority, "127.0.0.1")


@pytest.fixture
async def fake() -> AsyncIterator[Runtime]:
    async with cri.open("fake") as runtime:
        yield runtime


@asynccontextmanager
async def foreign(address: str, **answers: Callable[[Any], Any]) -> AsyncIterator[None]:
    """A CRI endpoint of somebody else's, with the RPCs in ``answers``; the others it does not have.

    An answer is a function of the request. What it raises reaches the caller as gRPC's plain statuses do.
    """
    server = grpc.aio.server()
    for rpc in RPCS:
        if answer := answers.get(rpc.attribute):
            method = grpc.unary_unary_rpc_method_handler(
                _plain(answer),
                request_deserializer=rpc.request.FromString,
                response_serializer=rpc.response.SerializeToString,
            )
            handler = grpc.method_handlers_generic_handler(rpc.service, {rpc.name: method})
            server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(address.replace("unix://", "unix:"))
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


def _plain(answer: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    async def method(request: Any, context: Any) -> Any:
        try:
            return answer(request)
        except LookupError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))

    return method
