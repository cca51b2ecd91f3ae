"""The bridge of a slot."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.host.errors import EngineError
from tests.host.names import Names


def make_bridge(names: Names) -> None:
    """Make the slot's own bridge, with its address, and set it up; one that is there is left as it is."""
    if Path("/sys/class/net", names.bridge).exists():
        return
    for arguments in (
        ["link", "add", names.bridge, "type", "bridge"],
        ["address", "add", str(names.bridge_address), "dev", names.bridge],
        ["link", "set", names.bridge, "up"],
    ):
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise EngineError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
