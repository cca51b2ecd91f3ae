"""Ports of the host without root: slirp4netns listens there, as the user that it is, and hands on what comes to the
network of the user's engine, whose own rules lead it to the sandbox.

It is told over its socket, a question for each connection. What it has open goes with it, and it with the network.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition, Unavailable
from runtimes.native.network import ports
from runtimes.native.network.plan import Port
from runtimes.native.network.rules import WILDCARDS, Published

_PATIENCE = 10.0

_socket: list[Path] = []


def answers_at(socket: Path) -> None:
    """Note where the one is told that this process's networks have."""
    _socket[:] = [socket]


def is_there() -> bool:
    return bool(_socket)


def inside(published: Iterable[Published]) -> list[Published]:
    """As the rules in there see them, which is all that the database needs: one address that everything comes to,
    whichever of the host's it was meant for."""
    found = (replace(each, host_ip=WILDCARDS[4]) for each in published if each.host_ip.version == 4)
    return list(dict.fromkeys(found))


async def publish(wanted: Iterable[Port]) -> None:
    """Raises AlreadyExists for a port that something on the host has, PermissionDenied for one that takes root,
    FailedPrecondition, Unavailable. Those before it stay open then."""
    for each in wanted:
        address = ip_address(each.host_ip) if each.host_ip else WILDCARDS[4]
        # slirp4netns does not say why it cannot.
        ports.check_free([Published(each.protocol, address, each.port, WILDCARDS[4], each.target_port)])
        where = {"host_addr": str(address), "host_port": each.port, "guest_port": each.port}
        await _ask("add_hostfwd", {"proto": each.protocol, **where})


async def unpublish(published: Iterable[Published]) -> None:
    """Those that are not open are no failure."""
    if gone := {(each.protocol, each.port) for each in published}:
        await _close(lambda port: port in gone)


async def keep(published: Iterable[Published]) -> None:
    """Close all others."""
    kept = {(each.protocol, each.port) for each in published}
    await _close(lambda port: port not in kept)


async def _close(unwanted: Callable[[tuple[str, int]], bool]) -> None:
    try:
        found = (await _ask("list_hostfwd", {}))["entries"]
        for each in found:
            if unwanted((each["proto"], each["host_port"])):
                await _ask("remove_hostfwd", {"id": each["id"]})
    except (ConnectionError, FileNotFoundError):
        return  # it has ended, and all is closed


async def _ask(what: str, arguments: dict[str, object]) -> Any:
    """Raises FailedPrecondition in its words, Unavailable; ConnectionError, FileNotFoundError where nobody is there."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_unix_connection(_socket[0])
            try:
                writer.write(json.dumps({"execute": what, "arguments": arguments}).encode())
                writer.write_eof()
                said = json.loads(await reader.read())
            finally:
                writer.close()
    except (TimeoutError, ValueError) as error:
        raise Unavailable(f"slirp4netns does not answer at {_socket[0]}: {error}") from error
    if "error" in said:
        raise FailedPrecondition(f"slirp4netns refuses {what} {arguments}: {said['error'].get('desc', said['error'])}")
    return said.get("return", said)  # a list comes bare
