"""A server and one client of it, in the middle of a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cri.streaming import StreamingServer
from cri.v1 import api_pb2 as v1
from tests.cri.streaming.handlers import Handler
from tests.cri.streaming.peers import Peer, command_peer


@asynccontextmanager
async def session(
    handler: Handler, request: v1.ExecRequest, speaking: str, *streams: str, idle_limit: float = 60.0
) -> AsyncIterator[Peer]:
    """An exec session as ``command_peer`` speaks it."""
    async with (
        StreamingServer(handler, idle_limit=idle_limit) as server,
        command_peer(await server.exec_url(request), speaking, *streams) as peer,
    ):
        yield peer


async def works(url: str) -> bool:
    """Use an exec URL up; whether that can be done at all."""
    async with command_peer(url, "spdy v4.channel.k8s.io", "stdout") as peer:
        await peer.to_the_end()
    return True
