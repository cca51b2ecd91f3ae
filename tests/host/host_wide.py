"""What engines turn on for the whole host: forwarding, and the mount on which network namespaces get their names. Both
go with the last slot, if they were not there before the first."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

from tests.host.names import Names, slots_with

FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
SYSCTLS = Path("/proc/sys")
NAMESPACES = Path("/run/netns")

RECORD = "before.json"
"""In a slot: how the host was before the first one. One of the living slots has it."""


def note(names: Names) -> None:
    """Remember how the host is, unless another slot does. Called under the base lock, as ``hand_on`` is."""
    if not any((other.path / RECORD).exists() for other in _others(names)):
        sysctls = {name: (SYSCTLS / name).read_text() for name in FORWARDING if (SYSCTLS / name).exists()}
        record = {"sysctls": sysctls, "namespaces": _is_mounted(NAMESPACES)}
        (names.path / RECORD).write_text(json.dumps(record))


def hand_on(names: Names) -> None:
    """The slot goes: make the host as it was, or have another slot see to it."""
    record = names.path / RECORD
    if not record.exists():
        return
    if others := _others(names):
        (others[0].path / RECORD).write_text(record.read_text())
        return
    before = json.loads(record.read_text())
    for name, value in before["sysctls"].items():
        if (SYSCTLS / name).read_text() != value:
            (SYSCTLS / name).write_text(value)
    if not before["namespaces"]:
        _unmount_empty(NAMESPACES)


def _others(names: Names) -> list[Names]:
    return [other for other in slots_with("") if other.number != names.number]


def _is_mounted(place: Path) -> bool:
    """Also where it is a part of the file system that it is in."""
    return any(line.split()[1] == str(place) for line in Path("/proc/mounts").read_text().splitlines())


def _unmount_empty(place: Path) -> None:
    while _is_mounted(place) and not any(place.iterdir()):
        subprocess.run(["umount", str(place)], check=True, capture_output=True, timeout=30)
    with contextlib.suppress(OSError):  # somebody has a namespace there
        place.rmdir()
