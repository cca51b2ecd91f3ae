"""A ``Runtime`` that answers what a test tells it to, and nothing but empty messages otherwise; and who calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Self

import grpc

from cri.rpc import RPCS, Rpc
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1


def _method(rpc: Rpc) -> Callable[..., Any]:
    async def unary(self: _Methods, request: Any) -> Any:
        answer = self.answers.get(rpc.attribute)
        return rpc.response() if answer is None else await answer(request)

    async def stream(self: _Methods, request: Any) -> Any:
        answer = self.answers.get(rpc.attribute)
        if answer is not None:
            async with aclosing(answer(request)) as responses:
                async for response in responses:
                    yield response

    return stream if rpc.streaming else unary


class _Methods:
    def __init_subclass__(cls) -> None:
        for rpc in RPCS:
            setattr(cls, rpc.attribute, _method(rpc))

    def __init__(self, answers: dict[str, Callable[..., Any]]) -> None:
        self.answers = answers
        self.closed = False

    @classmethod
    def answering(cls, **answers: Callable[..., Any]) -> Self:
        return cls(answers)

    async def aclose(self) -> None:
        self.closed = True


class Scripted(_Methods, Runtime):
    """A runtime in this process that knows whether it was closed."""


def scripted(**answers: Callable[..., Any]) -> Scripted:
    """``scripted(version=answer)``: ``answer`` is called with the request; a coroutine function or an async generator
    function as the RPC is unary or a stream."""
    return Scripted.answering(**answers)


def raw_channel(address: str) -> Any:
    """A channel that sends what bytes it is given, as a broken or foreign client would."""
    return grpc.aio.insecure_channel(address.replace("unix://", "unix:"))


class Work:
    """A call that a test watches: it begins, goes on until told or cancelled, and cleans up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.finish = asyncio.Event()
        self.cleaned = asyncio.Event()

    async def version(self, request: v1.VersionRequest) -> v1.VersionResponse:
        try:
            self.begun.set()
            await self.finish.wait()
            return v1.VersionResponse(version="done")
        finally:
            self.cleaned.set()

    async def events(self, request: v1.GetEventsRequest) -> AsyncIterator[v1.ContainerEventResponse]:
        try:
            yield v1.ContainerEventResponse(container_id="1")
            self.begun.set()
            await self.finish.wait()
        finally:
            self.cleaned.set()
