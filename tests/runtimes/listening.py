"""A socket of a test's own, for what no healthy engine does: silence, half an answer, a connection dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PATIENCE = 60.0
"""Seconds that the connections of a test have to end once nobody is to use the socket any more."""


@asynccontextmanager
async def listening(path: Path, serve: Serve) -> AsyncIterator[None]:
    """``serve`` answers each connection at ``path``; leave it when the clients have closed theirs.

    It ends when each connection has ended, one that was just being accepted too: Python before 3.12 waits for none, and
    forgets the socket of one that it has accepted and not served when the server closes.
    """

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    before = asyncio.all_tasks()
    async with await asyncio.start_unix_server(once, path):
        yield
        await none_beside(before)


async def none_beside(before: set[asyncio.Task[Any]]) -> None:
    """Return when the tasks that were not there before have ended, a server's connections among them."""
    async with asyncio.timeout(PATIENCE):
        while connections := asyncio.all_tasks() - before:
            await asyncio.wait(connections)
