"""Names on named networks: aardvark-dns, which Podman has as well, on the addresses of the bridges.

It is one process for all networks of an engine. It reads a directory, and reads it again at SIGHUP. What is in there is
made of the database, so that whoever comes by puts it in order; with the last network it is ended.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import socket
import time
from functools import partial
from pathlib import Path

from cri.errors import FailedPrecondition, Unavailable, Unimplemented
from runtimes.native import programs
from runtimes.native.database import Database
from runtimes.native.locks import Locks
from runtimes.native.network import dns_query, leases
from runtimes.native.network.attachment import Attachment
from runtimes.native.network.leases import MADE, Address, NetworkRow
from runtimes.native.network.namespaces import in_own_thread
from runtimes.native.places import Places
from runtimes.shared import processes
from runtimes.shared.descriptors import readable

PATIENCE = 10.0
"""Seconds until the server has started, or answers with what it was told."""

_PROGRAM = "aardvark-dns"
_DIRECTORIES = ("/usr/lib/podman", "/usr/libexec/podman")
_PID = "aardvark.pid"
_AGAIN = 0.5
"""Seconds after which a server that does not know yet is told again: it may not have heard it the first time."""

_ANSWER = 0.05
_PAUSE = 0.005
"""Seconds that an answer may take, and between two questions."""

_NAME_LENGTH = 32


class NameServer:
    """Of one engine; several processes take turns."""

    def __init__(self, places: Places, database: Database, locks: Locks) -> None:
        self._directory = places.names
        self._database = database
        self._locks = locks

    @staticmethod
    def is_available() -> bool:
        return _find_program() is not None

    @staticmethod
    def address(network: NetworkRow) -> Address:
        """Where it listens on a network: one address is enough for names of both versions."""
        return network.gateways[0]

    async def announce(self, network: NetworkRow, sandbox_id: str, address: Address) -> None:
        """Have a sandbox known by its names, which the database has; returns once it is. Raises FailedPrecondition for
        a host whose port 53 is taken, Unimplemented where the program is missing, Unavailable."""
        await self.refresh(about_to_listen=self.address(network))
        deadline = time.monotonic() + PATIENCE
        known = partial(_wait_until_known, self.address(network), own_name(sandbox_id), address)
        while not await in_own_thread(known):
            if time.monotonic() > deadline:
                raise Unavailable(f"{_PROGRAM} does not answer on {self.address(network)}")
            await self.refresh(again=True)

    async def refresh(self, *, about_to_listen: Address | None = None, again: bool = False) -> None:
        """Make what the server knows what the database says; ``again``: tell it even if nothing has changed."""
        async with self._locks.hold("network", "names"):
            wanted = self._wanted()
            if not wanted and not self._directory.exists():
                return
            running = self._pid()
            if running is not None and not self._files():
                # Somebody died before ending it.
                await self._end(running)
                running = None
            if about_to_listen is not None and not (running and self._listens(about_to_listen)):
                _check_free(about_to_listen)
            changed = self._write(wanted)
            if running is None and wanted:
                await self._start()
            elif running is not None and not wanted:
                await self._end(running)
            elif running is not None and (changed or again):
                processes.send(running, signal.SIGHUP, self._is_server)

    def _wanted(self) -> dict[str, str]:
        """The files of the directory, by name: one for each network that a sandbox is on."""
        with self._database.read() as connection:
            networks = [network for network in leases.networks(connection) if network.name]
            rows = {network.bridge: leases.attachments(connection, network.name) for network in networks}
        wanted = {}
        for network in networks:
            made = [row for row in rows[network.bridge] if row.phase == MADE]
            entries = [entry(row.sandbox_id, Attachment.of_facts(row.facts)) for row in made]
            if entries:
                wanted[network.bridge] = "".join([f"{self.address(network)}\n", *entries])
        return wanted

    def _write(self, wanted: dict[str, str]) -> bool:
        """Whether anything has changed."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = self._files()
        for name in there.keys() - wanted.keys():
            there[name].unlink()
        changed = there.keys() != wanted.keys()
        for name, text in wanted.items():
            if name not in there or there[name].read_text() != text:
                # The server must not find half a file, nor a whole one of another name.
                unfinished = self._directory.with_name(f"{self._directory.name}.new")
                unfinished.write_text(text)
                unfinished.rename(self._directory / name)
                changed = True
        return changed

    def _listens(self, address: Address) -> bool:
        """Whether the running server was told to."""
        return any(path.read_text().partition("\n")[0] == str(address) for path in self._files().values())

    def _files(self) -> dict[str, Path]:
        """What it reads, by name."""
        try:
            return {path.name: path for path in self._directory.iterdir() if path.name != _PID}
        except FileNotFoundError:
            return {}

    async def _start(self) -> None:
        program = _find_program()
        if program is None:
            raise Unimplemented(f"names on a network need {_PROGRAM}: install the package {_PROGRAM}")
        command = [program, "--config", str(self._directory), "--port", str(dns_query.PORT), "run"]
        ended = await programs.run(command, timeout=PATIENCE, environment={"PATH": os.defpath})
        if ended.code:
            raise Unavailable(f"{_PROGRAM} does not start: {ended.words}")

    async def _end(self, pid: int) -> None:
        """Returns when it is gone, and what it listened on is free. Raises Unavailable when it does not go."""
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if self._is_server(pid):
                signal.pidfd_send_signal(process, signal.SIGTERM)
                async with asyncio.timeout(PATIENCE):
                    await readable(process)
        except ProcessLookupError:
            return
        except TimeoutError as error:
            raise Unavailable(f"{_PROGRAM} (process {pid}) does not end") from error
        finally:
            os.close(process)

    def _pid(self) -> int | None:
        """Of the running server."""
        try:
            pid = int((self._directory / _PID).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._is_server(pid) else None

    def _is_server(self, pid: int) -> bool:
        """Whether it is one of this directory; the number may be another process's by now."""
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(self._directory) in command


def entry(sandbox_id: str, attached: Attachment) -> str:
    """A sandbox's line. Its own short name is for us to see that it is known."""
    addresses = [each for each in (attached.ip, *attached.additional_ips) if each]
    four = ",".join(each for each in addresses if ":" not in each)
    six = ",".join(each for each in addresses if ":" in each)
    names = ",".join(dict.fromkeys([own_name(sandbox_id), *attached.names]))
    forwarders = ",".join(attached.forwarders)
    return f"{sandbox_id} {four} {six} {names} {forwarders}".rstrip() + "\n"


def own_name(sandbox_id: str) -> str:
    return sandbox_id[:_NAME_LENGTH].lower()


def _find_program() -> str | None:
    return shutil.which(_PROGRAM, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_DIRECTORIES)))


def _check_free(address: Address) -> None:
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), dns_query.PORT))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise FailedPrecondition(
                    f"names on a network need port {dns_query.PORT}/udp of {address}, which a program of the host has"
                ) from error
            raise FailedPrecondition(f"port {dns_query.PORT} of {address} cannot be used: {error}") from error


def _wait_until_known(server: Address, name: str, address: Address) -> bool:
    """For a moment. A server that reads its files anew hears nothing meanwhile, and what it is asked then is lost."""
    deadline = time.monotonic() + _AGAIN
    while (left := deadline - time.monotonic()) > 0:
        began = time.monotonic()
        if address in dns_query.ask(server, name, version=address.version, patience=min(left, _ANSWER)):
            return True
        time.sleep(max(0.0, began + _PAUSE - time.monotonic()))
    return False
