"""What the engine's own process may do on this host, read from /proc: some starts fail only because it may not."""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

MOST_IMPORTANT = -1000
"""The lowest value of oom_score_adj."""

_STARTED = 21
"""Which word of /proc/PID/stat says when it started, in ticks after the boot; the first is 0."""

_CAP_SYS_RESOURCE = 24
_ALL = (1 << 41) - 1


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """``oom_score_adj_floor`` is the lowest value the engine can give a container. ``capabilities`` is a bit set.
    ``visible`` is whether the process was found at all, so that those of its containers may be too. ``started`` is when
    it began, in seconds since the epoch, 0 where that is not known."""

    oom_score_adj_floor: int = MOST_IMPORTANT
    capabilities: int = _ALL
    visible: bool = False
    started: float = 0.0

    def may(self, capability: int) -> bool:
        """Whether the engine holds ``capability``, a number of <linux/capability.h>."""
        return bool(self.capabilities >> capability & 1)


def look(socket_path: str | None, *, rootless: bool) -> EngineProcess:
    """Look at the process that listens at ``socket_path``, None for an engine elsewhere. One that cannot be seen from
    here is taken to be allowed everything."""
    if socket_path is None:
        return EngineProcess()
    try:
        return of_process(listener(socket_path), rootless=rootless)
    except (OSError, ValueError, KeyError):
        return EngineProcess()


def of_process(pid: int, *, rootless: bool) -> EngineProcess:
    """Look at process ``pid``. Raises OSError, and ValueError or KeyError for what is no process's /proc."""
    proc = Path("/proc", str(pid))
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    capabilities = int(status["CapEff"], 16)
    score = int((proc / "oom_score_adj").read_text())
    # Lowering the score is asked of the first user namespace, where the root of a rootless engine is nobody.
    unbound = capabilities >> _CAP_SYS_RESOURCE & 1 and not rootless
    floor = MOST_IMPORTANT if unbound else score
    return EngineProcess(floor, capabilities, visible=True, started=_started(proc))


def _started(proc: Path) -> float:
    after_name = (proc / "stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[_STARTED - 2])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def listener(path: str) -> int:
    """The process that listens on the socket at ``path``, 0 where it is not to be seen. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        probe.connect(path)
        pid, _, _ = struct.unpack("iII", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)
