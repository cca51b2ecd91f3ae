"""The users and groups that a user may give to containers: themselves as root, and their subordinate ids."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterable
from pathlib import Path

from cri.errors import FailedPrecondition

PROGRAMS = {"uid": "newuidmap", "gid": "newgidmap"}
_FILES = {"uid": Path("/etc/subuid"), "gid": Path("/etc/subgid")}
_SWITCHES = {
    Path("/proc/sys/user/max_user_namespaces"): "0",
    Path("/proc/sys/kernel/unprivileged_userns_clone"): "0",
}
"""Settings of the kernel, and what means that it gives no user namespaces."""

Range = tuple[int, int]
"""The first number, and how many."""


def check() -> None:
    """Raises FailedPrecondition where this user cannot have a user namespace, with the way out."""
    for path, off in _SWITCHES.items():
        if path.exists() and path.read_text().strip() == off:
            name = ".".join(path.relative_to("/proc/sys").parts)
            raise FailedPrecondition(f"the native engine needs root, or user namespaces: sysctl {name} is {off}")
    for kind, program in PROGRAMS.items():
        if shutil.which(program) is None:
            raise FailedPrecondition(f"the native engine without root needs {program}: install the package uidmap")
        ranges(kind)


def ranges(kind: str) -> list[Range]:
    """The subordinate ids of this user, of ``uid`` or ``gid``. Raises FailedPrecondition where there are none."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = ""
    path = _FILES[kind]
    lines = path.read_text().splitlines() if path.exists() else []
    found = parse(lines, {name, str(number)} - {""})
    if not found:
        raise FailedPrecondition(
            f"user {name or number} has no range in {path}: usermod --add-sub{kind}s 100000-165535 {name or number}"
        )
    return found


def parse(lines: Iterable[str], owners: set[str]) -> list[Range]:
    """The ranges of ``owners`` in the lines of subuid(5). Pure."""
    found = []
    for line in lines:
        owner, _, rest = line.strip().partition(":")
        first, _, count = rest.partition(":")
        if owner in owners and first.isdecimal() and count.isdecimal() and int(count):
            found.append((int(first), int(count)))
    return found


def mapping(own: int, subordinates: Iterable[Range]) -> list[str]:
    """The arguments of newuidmap(1) after the pid: root is ``own``, and from 1 on there are the others. Pure."""
    words, inside = ["0", str(own), "1"], 1
    for first, count in subordinates:
        words += [str(inside), str(first), str(count)]
        inside += count
    return words
