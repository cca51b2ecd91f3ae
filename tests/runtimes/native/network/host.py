"""A network of its own for the tests: what they take for the host's is a namespace that nobody else is in."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtimes.native import kernel
from runtimes.native.kernel import Namespace

OUTSIDE = "192.0.2.9"
"""An address beyond the host, which has a route to it and is its only neighbour there."""

HOST = "192.0.2.1"
"""The host's address on that link."""


@contextmanager
def private_host() -> Iterator[None]:
    """Take this thread, and the threads that it starts, to a new network namespace, with loopback up."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.unshare(Namespace.NET)
        try:
            ip("link", "set", "lo", "up")
            yield
        finally:
            kernel.enter(home, Namespace.NET)
    finally:
        os.close(home)


@contextmanager
def outside(pinned: Path) -> Iterator[None]:
    """``pinned`` is a network namespace. Make it what is beyond the host: it answers at OUTSIDE and knows no way to
    sandboxes."""
    ip("link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", str(pinned))
    ip("address", "add", f"{HOST}/24", "dev", "uplink")
    ip("link", "set", "uplink", "up")
    ip("route", "add", "default", "via", OUTSIDE)
    with inside(pinned):
        ip("address", "add", f"{OUTSIDE}/24", "dev", "eth0")
        ip("link", "set", "eth0", "up")
    yield


@contextmanager
def inside(netns: Path) -> Iterator[None]:
    """Take this thread to a sandbox's network."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.enter(there, Namespace.NET)
        try:
            yield
        finally:
            kernel.enter(home, Namespace.NET)
    finally:
        os.close(there)
        os.close(home)


@contextmanager
def server(
    netns: Path | None, port: int, kind: int = socket.SOCK_STREAM, host: str = "", protocol: int = 0
) -> Iterator[socket.socket]:
    """A socket that listens on ``port`` in a sandbox, or on the host."""
    if netns is not None:
        with inside(netns):
            made = _server(port, kind, host, protocol)
    else:
        made = _server(port, kind, host, protocol)
    with made:
        yield made


def reach(
    netns: Path | None, address: str, port: int, kind: int = socket.SOCK_STREAM, protocol: int = 0
) -> socket.socket:
    """A socket from a sandbox, or from the host, that is connected. Raises OSError."""
    if netns is not None:
        with inside(netns):
            return _client(address, port, kind, protocol)
    return _client(address, port, kind, protocol)


def answers(listening: socket.socket, netns: Path | None, address: str, port: int) -> str:
    """The address that ``listening`` sees a caller come from, who calls ``address`` from ``netns`` or from the host.
    Raises OSError when it is not reached."""
    kind, protocol = listening.type, listening.proto
    with reach(netns, address, port, kind, protocol) as client:
        client.send(b"hello")
        if kind == socket.SOCK_DGRAM:
            words, source = listening.recvfrom(16)
            listening.sendto(words, source)
            assert client.recv(16) == b"hello"
            return str(source[0])
        accepted, source = listening.accept()
        with accepted:
            accepted.settimeout(PATIENCE)
            accepted.send(accepted.recv(16))
            assert client.recv(16) == b"hello"
        return str(source[0])


PATIENCE = 60.0
"""Seconds for what is on its way."""
_CONNECT = 3.0
"""Seconds for what may never come: the kernel answers by itself."""


def ip(*arguments: str) -> str:
    return run(["ip", *arguments])


def rules() -> str:
    """All of nftables, without counters."""
    return run(["nft", "--stateless", "list", "ruleset"])


def run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def sysctl(name: str, value: str = "") -> str:
    """Its value, after setting it to ``value`` if there is one. ``name``: ``net/ipv4/ip_forward``."""
    path = Path("/proc/sys", name)
    if value:
        path.write_text(value)
    return path.read_text().strip()


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def _server(port: int, kind: int, host: str, protocol: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind, protocol)
    made.settimeout(PATIENCE)
    if kind == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def _client(address: str, port: int, kind: int, protocol: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, protocol)
    made.settimeout(_CONNECT)
    try:
        made.connect((address, port))
        made.settimeout(PATIENCE)
    except BaseException:
        made.close()
        raise
    return made
