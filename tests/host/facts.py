"""What this host can do, read from the kernel."""

from __future__ import annotations

from pathlib import Path

CAP_SYS_RESOURCE = 24


def may_lower_oom_score() -> bool:
    """Whether this process may give another a lower oom_score_adj, or higher limits, than it has."""
    return has_capability(CAP_SYS_RESOURCE)


def has_capability(number: int) -> bool:
    """Whether the capability is in this process's effective set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
