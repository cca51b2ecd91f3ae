"""Real TCP listeners on this host for published ports; the only sockets that the fake opens for its sandboxes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_address

from cri.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from cri.v1 import api_pb2 as v1
from runtimes.fake.pipes import Connection

_READ_SIZE = 64 * 1024
_Key = tuple[int, str, int]


class Listeners:
    """The listeners of one fake, so that none is left behind."""

    def __init__(self) -> None:
        self._opened: set[Listener] = set()

    def open(self, host: str, port: int, dial: Callable[[], Connection]) -> Listener:
        """Listen on a real address. Raises OSError when it cannot be bound."""
        self._opened = {listener for listener in self._opened if listener.tasks() or not listener.closed}
        listener = Listener(host, port, dial)
        self._opened.add(listener)
        return listener

    async def aclose(self) -> None:
        """Close them all, and wait for their tasks."""
        for listener in self._opened:
            listener.close()
        tasks = [task for listener in self._opened for task in listener.tasks()]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._opened.clear()


class Listener:
    """Listens on a real address and joins each client to a simulated connection. Made by ``Listeners``."""

    def __init__(self, host: str, port: int, dial: Callable[[], Connection]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=128)
        self._dial = dial
        self.closed = False
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._starting = asyncio.get_running_loop().create_task(self._start())

    def tasks(self) -> list[asyncio.Task[None]]:
        """What has not ended yet."""
        return [task for task in (self._starting, *self._clients) if not task.done()]

    async def _start(self) -> None:
        # Made without serving there is no await in between, so close() finds either no server or a whole one.
        self._server = await asyncio.start_server(self._take, sock=self._socket, start_serving=False)
        await self._server.start_serving()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside = self._dial()
        except OSError:
            writer.transport.abort()  # nothing listens behind the port: a reset, as a proxy of an engine does it
            return
        inwards = asyncio.ensure_future(_inwards(reader, inside))
        try:
            await _outwards(inside, writer)
        finally:
            inwards.cancel()
            inside.close()
            writer.close()

    def close(self) -> None:
        """Stop listening and drop the clients. Safe to call twice."""
        self.closed = True
        self._starting.cancel()
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()
        for client in self._clients:
            client.cancel()


async def _inwards(reader: asyncio.StreamReader, inside: Connection) -> None:
    try:
        while data := await reader.read(_READ_SIZE):
            await inside.write(data)
    except (BrokenPipeError, ConnectionError):
        return
    inside.outgoing.close()


async def _outwards(inside: Connection, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await inside.read(_READ_SIZE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except ConnectionError:
        return
    finally:
        inside.incoming.close()


class HostPorts:
    """Which host ports are published. TCP ones listen; UDP and SCTP ones are only kept from being published twice."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._taken: set[_Key] = set()

    def publish(self, mappings: list[v1.PortMapping], dial: Callable[[int], Connection]) -> Callable[[], None]:
        """Publish all ``mappings`` or none; the answer unpublishes them.

        CRI: a host port of 0 is no host port. Raises FailedPrecondition for a port that is taken.
        """
        with ExitStack() as undo:
            for mapping in mappings:
                if mapping.host_port:
                    self._publish(mapping, dial, undo)
            return undo.pop_all().close

    def _publish(self, mapping: v1.PortMapping, dial: Callable[[int], Connection], undo: ExitStack) -> None:
        host = mapping.host_ip or "0.0.0.0"  # noqa: S104 - a name for "any"; what is listened on is loopback
        key = (int(mapping.protocol), host, mapping.host_port)
        if any(_collide(key, other) for other in self._taken):
            raise _taken(mapping)
        self._taken.add(key)
        undo.callback(self._taken.discard, key)
        if mapping.protocol == v1.TCP:
            container_port = mapping.container_port
            try:
                listener = self._listeners.open(_bindable(host), mapping.host_port, lambda: dial(container_port))
            except OSError as error:
                raise _translated(error, mapping) from error
            undo.callback(listener.close)


def _bindable(host: str) -> str:
    """The address to listen on: "any" is the loopback, so that a fake is never seen from another machine."""
    address = ip_address(host)
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return host


def _collide(one: _Key, other: _Key) -> bool:
    same_host = one[1] == other[1] or ip_address(one[1]).is_unspecified or ip_address(other[1]).is_unspecified
    return one[0] == other[0] and one[2] == other[2] and same_host


def _taken(mapping: v1.PortMapping) -> FailedPrecondition:
    where = f"{mapping.host_ip or '0.0.0.0'}:{mapping.host_port}/{v1.Protocol.Name(mapping.protocol).lower()}"  # noqa: S104
    return FailedPrecondition(
        f"host port {where} is already in use; choose another one or free it", details={"host_port": where}
    )


def _translated(error: OSError, mapping: v1.PortMapping) -> FailedPrecondition | InvalidArgument | PermissionDenied:
    if error.errno == errno.EADDRINUSE:
        return _taken(mapping)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(f"host port {mapping.host_port} needs privileges that this process does not have")
    return InvalidArgument(f"config.port_mappings: cannot listen on {mapping.host_ip}: {error.strerror}")
