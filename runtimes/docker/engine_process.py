"""What the engine's own process may do on this host, read from /proc: some starts fail only because it may not."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from runtimes.docker.endpoint import Endpoint

MOST_IMPORTANT = -1000
"""The lowest value of oom_score_adj."""

_CAP_SYS_RESOURCE = 24
_ALL = (1 << 41) - 1


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """``oom_score_adj_floor`` is the lowest value the engine can give a container. ``capabilities`` is a bit set."""

    oom_score_adj_floor: int = MOST_IMPORTANT
    capabilities: int = _ALL

    def may(self, capability: int) -> bool:
        """Whether the engine holds ``capability``, a number of <linux/capability.h>."""
        return bool(self.capabilities >> capability & 1)


def look(endpoint: Endpoint, *, rootless: bool) -> EngineProcess:
    """Look at the process behind ``endpoint``. One that cannot be seen from here is taken to be allowed everything."""
    if not endpoint.is_local:
        return EngineProcess()
    try:
        proc = Path("/proc", str(_listener(endpoint.socket_path)))
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        capabilities = int(status["CapEff"], 16)
        score = int((proc / "oom_score_adj").read_text())
    except (OSError, ValueError, KeyError):
        return EngineProcess()
    # Lowering the score is asked of the first user namespace, where the root of a rootless engine is nobody.
    unbound = capabilities >> _CAP_SYS_RESOURCE & 1 and not rootless
    return EngineProcess(oom_score_adj_floor=MOST_IMPORTANT if unbound else score, capabilities=capabilities)


def _listener(path: str) -> int:
    """The process that listens on the socket at ``path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        probe.connect(path)
        pid, _, _ = struct.unpack("iII", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)
