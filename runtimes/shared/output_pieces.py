"""What a container or a command writes, as an upgraded connection of the engine brings it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runtimes.shared.engine_stream import EngineStream
from runtimes.shared.multiplex import Demultiplexer, StreamId


async def output_pieces(stream: EngineStream, *, tty: bool) -> AsyncIterator[tuple[StreamId, bytes]]:
    """Pieces of at least one byte, each with its stream, until the engine hangs up. A terminal has only STDOUT."""
    frames = Demultiplexer()
    while data := await stream.read():
        if tty:
            yield StreamId.STDOUT, data
            continue
        for output, piece in frames.feed(data):
            if piece:
                yield output, piece
