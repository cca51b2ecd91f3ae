"""An engine as one that is not on this host: behind TCP, where its processes cannot be touched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.runtimes.pods import WITHIN


@contextlib.asynccontextmanager
async def door(engine: str) -> AsyncIterator[str]:
    """The address of a TCP port of this test that leads to ``engine``, a ``unix://`` address."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_engine = await asyncio.open_unix_connection(engine.removeprefix("unix://"))
        try:
            await asyncio.gather(pump(reader, to_engine[1]), pump(to_engine[0], writer))
        finally:
            for each in (writer, to_engine[1]):
                each.close()

    async def serve_and_tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        task.add_done_callback(connections.discard)
        await serve(reader, writer)

    connections: set[asyncio.Task[None]] = set()
    async with await asyncio.start_server(serve_and_tell, "127.0.0.1", 0) as server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        if connections:  # their clients have gone, which the engine is told
            await asyncio.wait(connections, timeout=WITHIN)
