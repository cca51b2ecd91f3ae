"""PortForward: connections of a client that come out on a sandbox's loopback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cri.errors import FailedPrecondition, Unavailable, Unimplemented
from cri.streaming import DuplexStream
from runtimes.shared import processes
from runtimes.shared.network_namespace import NamespaceDialer


class SandboxProcess(NamedTuple):
    """A process in the network of a sandbox, and the id of the engine's container that it is of."""

    pid: int
    container_id: str


FindProcess = Callable[[str], Awaitable[SandboxProcess | Path]]
"""Takes a sandbox's id; of a sandbox without a process the file of its network namespace. Raises NotFound,
FailedPrecondition for a sandbox that is not ready, Unimplemented for an engine whose sandboxes cannot be reached from
here."""


class PortForward:
    """PortForward's check and its connections. To be closed."""

    def __init__(self, find_process: FindProcess) -> None:
        self._find_process = find_process
        self._dialer = NamespaceDialer()

    def close(self) -> None:
        self._dialer.close()

    async def check(self, sandbox_id: str) -> None:
        """Raises NotFound, FailedPrecondition for a sandbox that is not ready or when we lack the right, Unimplemented
        for an engine whose sandboxes cannot be reached from here."""
        found = await self._find_process(sandbox_id)
        with _namespace(found, sandbox_id) as namespace:
            try:
                await self._dialer.check(namespace)
            except OSError as error:
                raise _not_allowed(sandbox_id, error) from error

    async def run(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        """One connection, to its end. Raises Unavailable when nobody listens there."""
        found = await self._find_process(sandbox_id)
        with _namespace(found, sandbox_id) as namespace:
            try:
                connected = await self._dialer.connect(namespace, port)
            except PermissionError as error:
                raise _not_allowed(sandbox_id, error) from error
            except OSError as error:
                # asyncio puts words of its own in place of the kernel's.
                reason = os.strerror(error.errno) if error.errno else "nobody accepted it in time"
                raise Unavailable(f"port {port} of sandbox {sandbox_id} cannot be connected to: {reason}") from error
        try:
            reader, writer = await asyncio.open_connection(sock=connected)
        except BaseException:
            connected.close()
            raise
        await stream.splice(reader, writer)


@contextmanager
def _namespace(found: SandboxProcess | Path, sandbox_id: str) -> Iterator[int]:
    """A descriptor of the network namespace of the sandbox."""
    path = found if isinstance(found, Path) else Path(f"/proc/{found.pid}/ns/net")
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _not_seen(sandbox_id) from error
    except OSError as error:
        raise _not_allowed(sandbox_id, error) from error
    try:
        # After opening it: the number may have been another process's already.
        if isinstance(found, SandboxProcess) and not processes.is_of_container(found.pid, found.container_id):
            raise _not_seen(sandbox_id)
        yield opened
    finally:
        os.close(opened)


def _not_seen(sandbox_id: str) -> Unimplemented:
    return Unimplemented(
        f"the process of sandbox {sandbox_id} cannot be seen from here: port-forward works only in the process "
        f"namespace of the engine (in a container: with the host's pid namespace)"
    )


def _not_allowed(sandbox_id: str, error: OSError) -> FailedPrecondition:
    return FailedPrecondition(
        f"the network of sandbox {sandbox_id} cannot be entered: {error.strerror}; port-forward needs root "
        f"(CAP_SYS_ADMIN and CAP_SYS_PTRACE)"
    )
