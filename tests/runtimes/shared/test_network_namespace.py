"""Dialing inside other network namespaces, with namespaces made by this test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from runtimes.shared import network_namespace
from runtimes.shared.network_namespace import NamespaceDialer

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
async def dialer() -> AsyncIterator[NamespaceDialer]:
    opened = NamespaceDialer()
    yield opened
    opened.close()


@contextlib.contextmanager
def descriptor(path: str) -> Iterator[int]:
    opened = os.open(path, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)


@pytest.fixture
def empty_namespace() -> Iterator[int]:
    """A new namespace whose loopback is down."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with descriptor(f"/proc/{holder.pid}/ns/net") as opened:
            yield opened
        holder.kill()


@pytest.fixture
def own_namespace() -> Iterator[int]:
    with descriptor("/proc/self/ns/net") as opened:
        yield opened


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_a_listener_on_either_loopback_is_reached(
    dialer: NamespaceDialer, own_namespace: int, family: socket.AddressFamily, host: str
) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"this host has no {host}")
        listener.listen()
        with await dialer.connect(own_namespace, listener.getsockname()[1]) as connected:
            assert connected.getpeername()[0] == host


async def test_nobody_listening_is_a_refused_connection(dialer: NamespaceDialer, own_namespace: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await dialer.connect(own_namespace, taken.getsockname()[1])


async def test_a_listener_of_this_namespace_is_not_seen_from_another(
    dialer: NamespaceDialer, empty_namespace: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OSError, match="unreachable"):
        await dialer.connect(empty_namespace, listener.getsockname()[1])


async def test_the_thread_comes_home(dialer: NamespaceDialer, empty_namespace: int) -> None:
    await dialer.check(empty_namespace)
    namespaces = {os.readlink(f"/proc/self/task/{thread}/ns/net") for thread in os.listdir("/proc/self/task")}
    assert namespaces == {os.readlink("/proc/self/ns/net")}


async def test_going_to_what_is_no_namespace_fails_and_does_no_harm(
    dialer: NamespaceDialer, own_namespace: int
) -> None:
    with descriptor("/dev/null") as nonsense, pytest.raises(OSError, match="setns"):
        await dialer.check(nonsense)
    await dialer.check(own_namespace)


async def test_a_cancelled_call_leaves_no_socket_open(dialer: NamespaceDialer, own_namespace: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        call = asyncio.create_task(dialer.check(own_namespace))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await dialer.check(own_namespace)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_listener_that_accepts_nobody_is_given_up(
    dialer: NamespaceDialer, own_namespace: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_namespace, "CONNECT_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as busy, contextlib.ExitStack() as queued:
        port = busy.getsockname()[1]

        async def fill_the_queue() -> None:
            for _ in range(20):
                queued.enter_context(await dialer.connect(own_namespace, port))

        with pytest.raises(TimeoutError):
            await fill_the_queue()
