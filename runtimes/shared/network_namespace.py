"""Connections that begin inside another network namespace, without a helper program in there or here.

A socket belongs to the namespace of the thread that made it, for as long as it lives, whoever uses it afterwards. So a
thread of our own goes there just to make sockets, and connecting and all that follows is ordinary asyncio.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

CONNECT_PATIENCE = 10.0
"""Seconds until a loopback connection stands: it is immediate, unless the listener is too busy to accept."""

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceDialer:
    """Owns the thread, until ``close``. Needs CAP_SYS_ADMIN, here and over the namespaces it goes to."""

    def __init__(self) -> None:
        self._thread = _one_thread()

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    async def check(self, namespace: int) -> None:
        """Raises what keeps us from going to ``namespace`` (a descriptor), mostly PermissionError."""
        _close(await self._sockets(namespace))

    async def connect(self, namespace: int, port: int) -> socket.socket:
        """A non-blocking socket, connected to ``port`` of 127.0.0.1 in there, or of ::1 where that refuses.

        ``namespace`` is a descriptor of /proc/PID/ns/net. Raises OSError: ConnectionRefusedError when nobody listens,
        TimeoutError, PermissionError.
        """
        made = await self._sockets(namespace)
        try:
            failure: OSError | None = None
            for each, (_, host) in zip(made, _LOOPBACK, strict=False):
                try:
                    async with asyncio.timeout(CONNECT_PATIENCE):
                        await asyncio.get_running_loop().sock_connect(each, (host, port))
                except OSError as error:  # TimeoutError is one
                    failure = failure or error
                else:
                    made.remove(each)
                    return each
            assert failure is not None
            raise failure
        finally:
            _close(made)

    async def _sockets(self, namespace: int) -> list[socket.socket]:
        """One for each address family that this kernel has, IPv4 first."""
        making = asyncio.get_running_loop().run_in_executor(self._thread, self._make, namespace)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_discard)
            raise

    def _make(self, namespace: int) -> list[socket.socket]:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.path.samestat(os.fstat(namespace), os.fstat(home)):
                return _open()  # nowhere to go, which may not be allowed either
            _enter(namespace)
            try:
                return _open()
            finally:
                self._return(home)
        finally:
            os.close(home)

    def _return(self, home: int) -> None:
        """A namespace lives as long as a thread is in it, and this thread waits for its next work."""
        try:
            _enter(home)
        except PermissionError:
            # Root of a user namespace only comes back to what belongs to that: another thread takes over.
            self._thread.shutdown(wait=False)
            self._thread = _one_thread()


def in_namespace(namespace: Path, work: Callable[[], T]) -> T:
    """``work()`` by a thread inside, which ends with it. Blocks. Raises OSError, and what the work raises."""
    with ThreadPoolExecutor(1, thread_name_prefix="network-namespace") as thread:
        return thread.submit(_work_inside, namespace, work).result()


def _work_inside(namespace: Path, work: Callable[[], T]) -> T:
    opened = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(opened)
    finally:
        os.close(opened)
    return work()


def _one_thread() -> ThreadPoolExecutor:
    """Making a socket takes microseconds, and the thread must never be used for anything else."""
    return ThreadPoolExecutor(1, thread_name_prefix="network-namespace")


def _open() -> list[socket.socket]:
    made: list[socket.socket] = []
    for family, _ in _LOOPBACK:
        try:
            opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            if not made:
                raise
            continue  # a kernel without IPv6
        made.append(opened)
    return made


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _discard(made: asyncio.Future[list[socket.socket]]) -> None:
    if not made.cancelled() and made.exception() is None:
        _close(made.result())


def _close(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()
