"""An engine as one that is not on this host: behind TCP, where its processes cannot be touched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


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
        await asyncio.gather(pump(reader, to_engine[1]), pump(to_engine[0], writer))
        for each in (writer, to_engine[1]):
            each.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
