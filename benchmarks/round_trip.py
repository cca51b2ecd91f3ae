"""What an RPC costs: through our server and client, beside gRPC without us and beside no gRPC at all."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import grpc

import cri
from benchmarks.result import Result, percentile, spread
from cri.v1 import api_pb2 as v1

CALLS = 2000
WARM_UP = 200
RATIO = 2.0
"""What parsing, packing and our own book-keeping on both ends may make of gRPC's own round trip."""


async def run() -> AsyncIterator[Result]:
    request = v1.VersionRequest()
    with tempfile.TemporaryDirectory(prefix="minicri-bench-") as folder:
        ours, bare = f"unix://{folder}/ours.sock", f"unix://{folder}/bare.sock"
        async with (
            cri.open("fake") as runtime,
            cri.serve(runtime, ours),
            cri.connect(ours) as client,
            _bare(bare) as call,
        ):
            answer = (await runtime.version(request)).SerializeToString()
            calls: dict[str, Callable[[], Awaitable[Any]]] = {
                "round trip, fake, server and client": lambda: client.version(request),
                "the same without gRPC": lambda: runtime.version(request),
                "gRPC with the same bytes, without us": lambda: call(answer),
            }
            times = await side_by_side(calls)
    for what, seconds in times.items():
        for result in spread(what, seconds):
            yield result
    through, _, floor = (percentile(seconds, 50) for seconds in times.values())
    yield Result(what="round trip as a multiple of gRPC alone, p50", value=through / floor, unit="x", goal=RATIO)


async def side_by_side(calls: dict[str, Callable[[], Awaitable[Any]]]) -> dict[str, list[float]]:
    """Each call in turn, so that whatever else the machine does falls on all of them."""
    times: dict[str, list[float]] = {what: [] for what in calls}
    for number in range(WARM_UP + CALLS):
        for what, call in calls.items():
            begun = perf_counter()
            await call()
            if number >= WARM_UP:
                times[what].append(perf_counter() - begun)
    return times


@asynccontextmanager
async def _bare(address: str) -> AsyncIterator[Callable[[bytes], Awaitable[Any]]]:
    """A gRPC server and client that pass bytes: what ours are built on."""

    async def echo(raw: bytes, context: Any) -> bytes:
        return raw

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler})])
    path = address.replace("unix://", "unix:")
    server.add_insecure_port(path)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(path) as channel:
            call: Any = channel.unary_unary("/bench.Echo/Echo")
            yield call
    finally:
        await server.stop(0)
