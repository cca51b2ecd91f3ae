"""The socket of a test's own is a good host: it forgets nobody whom it has let in."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from pathlib import Path

from tests.runtimes.listening import listening


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def test_a_connection_that_is_just_being_accepted_is_not_forgotten(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:
        async with listening(tmp_path / "s", nothing):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "s"))
                for _ in range(2):  # the loop has seen it, and asyncio has not served it yet
                    await asyncio.sleep(0)
        gc.collect()
    assert told == []
