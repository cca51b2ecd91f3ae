"""A connection to the streams of a container, at the socket that its monitor keeps.

The socket takes packets: to it raw input, from it a byte that says which stream and then the output. An end of input
from any client is the end of the container's, unless the monitor was told to leave that open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from cri.errors import FailedPrecondition, Unavailable
from runtimes.shared.multiplex import StreamId

_PACKET = 1 << 16
_INPUT = 8191
"""Bytes of input that one packet may have: the monitor reads no more of it, and loses the rest."""

_STREAMS = {2: StreamId.STDOUT, 3: StreamId.STDERR}


class AttachSocket:
    """Made by ``connect``. To be closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def read(self) -> tuple[StreamId, bytes] | None:
        """The next piece of output; None when the container has ended."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                packet = await loop.sock_recv(self._connection, _PACKET)
            except ConnectionError:
                return None
            if not packet:
                return None
            stream = _STREAMS.get(packet[0])
            if stream is not None and len(packet) > 1:
                return stream, packet[1:]

    async def write(self, data: bytes) -> None:
        """To the container's input. Raises Unavailable once nobody reads any more."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), _INPUT):
            try:
                await loop.sock_sendall(self._connection, data[start : start + _INPUT])
            except OSError as error:
                raise Unavailable(f"the container takes no input any more: {error.strerror}") from error

    def write_eof(self) -> None:
        """This client's input has ended."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Safe to call twice."""
        self._connection.close()


def connect(bundle: Path) -> AttachSocket:
    """The streams of the container with this bundle; to be closed. Raises FailedPrecondition when its monitor is
    gone."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        directory = os.open(bundle, os.O_PATH | os.O_CLOEXEC)
        try:
            # By the directory's descriptor: a socket's path must not be longer than 107 characters.
            connection.connect(f"/proc/self/fd/{directory}/attach")
        finally:
            os.close(directory)
        connection.setblocking(False)
    except OSError as error:
        connection.close()
        raise FailedPrecondition(f"the container's streams cannot be reached: {error.strerror}") from error
    return AttachSocket(connection)
