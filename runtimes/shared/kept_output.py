"""How much ExecSync keeps of what a command writes. Pure."""

from __future__ import annotations

from cri.rpc import MAX_MESSAGE_BYTES

STREAM_LIMIT = 16 * 1024 * 1024
"""Bytes kept of each stream (CRI); the rest is read and thrown away, so that the command can go on writing."""

MESSAGE_ROOM = MAX_MESSAGE_BYTES - 64
"""Bytes that both streams may take in an answer: a client refuses a larger message, and then has no output at all."""


class KeptOutput:
    """One stream's first ``limit`` bytes."""

    def __init__(self, limit: int = STREAM_LIMIT) -> None:
        self._limit = limit
        self._kept = bytearray()

    async def write(self, data: bytes) -> None:
        """Never waits; a coroutine so that it can stand where a network stream does."""
        self._kept += data[: self._limit - len(self._kept)]

    def __bytes__(self) -> bytes:
        return bytes(self._kept)


def fitting(stdout: bytes, stderr: bytes, room: int = MESSAGE_ROOM) -> tuple[bytes, bytes]:
    """Both streams, cut so that one message can hold them: the longer one is cut first."""
    if len(stdout) + len(stderr) <= room:
        return stdout, stderr
    kept_stderr = min(len(stderr), max(room // 2, room - len(stdout)))
    return stdout[: room - kept_stderr], stderr[:kept_stderr]
