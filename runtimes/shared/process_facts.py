"""What /proc says of a container's processes and of its network. Processes may end while they are looked at."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cri.v1 import api_pb2 as v1
from runtimes.shared.network_namespace import in_namespace

_PROC = Path("/proc")
_LOOPBACK = "lo"
_PREFERRED = "eth0"


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """Counts over all processes; ``ulimits`` are the soft limits of the first one, without those that have none."""

    processes: int = 0
    file_descriptors: int = 0
    sockets: int = 0
    ulimits: tuple[tuple[str, int], ...] = ()


def of_processes(pids: Iterable[int], proc: Path = _PROC) -> ProcessFacts:
    """Look at the processes ``pids``; those that have ended do not count."""
    seen, descriptors, sockets = 0, 0, 0
    ulimits: tuple[tuple[str, int], ...] = ()
    for pid in pids:
        folder = proc / str(pid)
        try:
            opened = os.listdir(folder / "fd")
            ulimits = ulimits or _soft_limits((folder / "limits").read_text())
        except OSError:
            continue
        seen += 1
        descriptors += len(opened)
        sockets += sum(_is_socket(folder / "fd" / name) for name in opened)
    return ProcessFacts(seen, descriptors, sockets, ulimits)


def _is_socket(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(path).startswith("socket:")
    return False


def _soft_limits(text: str) -> tuple[tuple[str, int], ...]:
    """``Max open files   1024   4096   files`` -> ("max_open_files", 1024)."""
    found = []
    for line in text.splitlines()[1:]:
        # The name is the first 26 characters and has spaces in it.
        name, rest = line[:26].strip(), line[26:].split()
        if rest and rest[0].isdecimal():
            found.append((name.lower().replace(" ", "_"), int(rest[0])))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Interface:
    """Counters since the interface was made."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0

    def message(self) -> v1.NetworkInterfaceUsage:
        return v1.NetworkInterfaceUsage(
            name=self.name,
            rx_bytes=v1.UInt64Value(value=self.rx_bytes),
            rx_errors=v1.UInt64Value(value=self.rx_errors),
            tx_bytes=v1.UInt64Value(value=self.tx_bytes),
            tx_errors=v1.UInt64Value(value=self.tx_errors),
        )


def interfaces(pid: int, proc: Path = _PROC) -> list[Interface]:
    """The interfaces that the process sees, less the loopback one; the default one first. Raises OSError when it
    has ended."""
    return _interfaces(proc / str(pid) / "net" / "dev")


def interfaces_in(namespace: Path) -> list[Interface]:
    """Those of the network namespace that the file is of, as ``interfaces``. Blocks."""
    # A thread's own view: a process's is that of its first thread.
    return in_namespace(namespace, lambda: _interfaces(_PROC / "thread-self" / "net" / "dev"))


def _interfaces(counters: Path) -> list[Interface]:
    found = []
    for line in counters.read_text().splitlines()[2:]:
        name, _, rest = line.partition(":")
        row = [int(text) for text in rest.split()]
        found.append(Interface(name.strip(), *row[:4], *row[8:12]))
    return sorted(
        (each for each in found if each.name != _LOOPBACK), key=lambda each: (each.name != _PREFERRED, each.name)
    )
