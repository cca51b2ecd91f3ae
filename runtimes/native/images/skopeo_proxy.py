"""skopeo's image proxy: one process that fetches blobs, spoken to in JSON over a socket; blobs come through pipes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from cri.errors import Unavailable
from runtimes.native import programs
from runtimes.native.images.manifests import Descriptor
from runtimes.shared.descriptors import readable

_MESSAGE_LIMIT = 32 * 1024
"""Bytes of a message, by the protocol."""

_SAID_LIMIT = 64 * 1024


class Proxy:
    """Every call raises Unavailable with skopeo's words when it fails. After that, or when a call was cancelled, it is
    good for nothing but ``kill``. One blob at a time: while a pipe is open, skopeo answers nothing else."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int]) -> None:
        """Start it. Raises FailedPrecondition where there is no skopeo."""
        self._said = os.memfd_create("skopeo", os.MFD_CLOEXEC)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        try:
            self._process: subprocess.Popen[bytes] | None = programs.start(
                command, theirs.fileno(), self._said, self._said, environment=environment, pass_fds=pass_fds
            )
        except BaseException:
            self._process = None
            self.kill()
            raise
        finally:
            theirs.close()
        self._image = 0

    def kill(self) -> None:
        """End it, and with it the pipes that it fills. Safe to call twice."""
        self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._said >= 0:
            os.close(self._said)
            self._said = -1

    async def initialize(self) -> tuple[int, ...]:
        """The version of its protocol."""
        version, _, _ = await self._call("Initialize")
        return tuple(int(part) for part in str(version).split("."))

    async def open_image(self, name: str) -> None:
        """Say of which image the blobs are; ``name`` is skopeo's form."""
        self._image, _, _ = await self._call("OpenImage", name)

    async def open_blob(self, descriptor: Descriptor) -> tuple[int, int]:
        """A pipe through which the blob comes, for the caller to close, and its number."""
        _, pipe, number = await self._call("GetBlob", self._image, descriptor.digest, descriptor.size)
        if pipe is None:
            raise Unavailable("skopeo gave no pipe for a blob")
        return pipe, number

    async def finish(self, number: int) -> None:
        """Wait until all of the blob is in its pipe, which must be read meanwhile; then the pipe ends."""
        await self._call("FinishPipe", number)

    async def _call(self, method: str, *arguments: str | int) -> tuple[Any, int | None, int]:
        loop = asyncio.get_running_loop()
        pipe: int | None = None
        try:
            await loop.sock_sendall(self._socket, json.dumps({"method": method, "args": arguments}).encode())
            await readable(self._socket.fileno())
            message, pipes, _, _ = socket.recv_fds(self._socket, _MESSAGE_LIMIT, 1)
            pipe = pipes[0] if pipes else None
            reply = json.loads(message) if message else None
        except (OSError, ValueError) as error:
            raise Unavailable(f"skopeo cannot be spoken to: {error}; {self._words()}") from error
        if reply is None:
            raise Unavailable(self._words())
        if not reply.get("success"):
            if pipe is not None:
                os.close(pipe)
            raise Unavailable(str(reply.get("error")))
        return reply.get("value"), pipe, int(reply.get("pipeid") or 0)

    def _words(self) -> str:
        said = os.pread(self._said, _SAID_LIMIT, 0).decode("utf-8", "replace").strip()
        return said or "skopeo ended without a word"
