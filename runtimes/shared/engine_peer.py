"""An engine that speaks HTTP: where it is, how a connection to it is made, and how its silence is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from cri.errors import CRIError, DeadlineExceeded, Unavailable

READ_LIMIT = 256 * 1024
"""Bytes of an answer that are buffered before the engine has to wait."""


@dataclass(frozen=True, slots=True)
class EnginePeer:
    """One engine at one address. ``product`` and ``hint`` are for people: "Docker Engine", "is dockerd running?"."""

    product: str
    hint: str
    address: str
    """``unix:///path`` or ``tcp://…``."""
    host_and_port: tuple[str, int] | None
    """Where to connect to; None for a local socket."""
    tls: ssl.SSLContext | None
    for_status: Callable[[int, str, str], CRIError]
    """The contract's error for an HTTP status, the engine's message and the call that it answers."""

    @property
    def local_socket(self) -> str | None:
        """The path of a local engine's socket; None for one elsewhere."""
        return self.address.removeprefix("unix://") if self.host_and_port is None else None

    def __str__(self) -> str:
        return f"{self.product} at {self.address}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own, the caller's to close. Raises OSError."""
        if self.host_and_port is None:
            return await asyncio.open_unix_connection(self.local_socket, limit=READ_LIMIT)
        host, port = self.host_and_port
        return await asyncio.open_connection(host, port, ssl=self.tls, limit=READ_LIMIT)

    def unreachable(self, error: BaseException) -> Unavailable:
        """The error for an engine that nobody answers for."""
        return Unavailable(f"{self} does not answer: {_root(error)}; {self.hint}")

    def timed_out(self, seconds: float) -> DeadlineExceeded:
        """The error for an engine that took the call and gave no answer in time."""
        return DeadlineExceeded(f"{self} gave no answer within {seconds:g} s")


def _root(error: BaseException) -> str:
    """What the kernel said, from under the layers of HTTP libraries."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        seen = inner or seen.__cause__ or seen.__context__
    return str(error)
