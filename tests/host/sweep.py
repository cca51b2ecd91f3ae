"""Removing what a slot has on the host: processes, mounts, bridges, cgroups, sockets, files, in this order.

It works from the slot's number alone and asks no engine, so it serves an orderly end and a killed run alike.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.host import cni, host_wide, hugetlb, libpod, native_state, processes
from tests.host.names import Names

CGROUPS = Path("/sys/fs/cgroup")
_DEADLINE = 30.0


def sweep(names: Names) -> None:
    """Remove all of slot `names`. What is gone is passed over; what cannot be removed raises OSError."""
    containers = [path.name for path in names.path.glob("docker/containers/*")] + cni.containers(names)
    containers += libpod.containers(names)
    namespaces = libpod.namespaces(names)
    libpod_cgroups = libpod.cgroups(names)
    _kill(names, containers)
    _unmount(names.path)
    native_state.forget(names)
    _remove_links(names)
    for cgroup in {*cgroups(names.cgroup, containers), *libpod_cgroups}:
        _remove_cgroup(cgroup)
    for address in names.path.glob("run/containerd/daemon/io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
    cni.forget(names, containers)
    libpod.forget(names, containers, namespaces)
    host_wide.hand_on(names)
    if names.path.exists():
        shutil.rmtree(names.path)
    hugetlb.give_back()


def cgroups(*wanted: str | Iterable[str]) -> list[Path]:
    """The cgroup directories of these names, in every hierarchy, at any of the top three levels."""
    named = {name for item in wanted for name in ([item] if isinstance(item, str) else item)}
    # Unlike Path.glob this passes over a directory that goes meanwhile: other engines end, too.
    found = (Path(path) for level in ("*", "*/*", "*/*/*") for path in glob.iglob(f"{CGROUPS}/{level}"))
    return [path for path in found if path.name in named and path.is_dir()]


def _kill(names: Names, containers: list[str]) -> None:
    """Kill until nobody is left: a living engine may have started a process behind our back."""
    deadline = time.monotonic() + _DEADLINE
    while True:
        seen = processes.those_of_now()
        found = processes.of_slot(names.path, cgroups(names.cgroup, containers)) | native_state.monitors(names)
        if not found:
            return
        for pid in found:
            processes.kill(pid, deadline - time.monotonic(), seen)
        if time.monotonic() > deadline:
            raise OSError(f"slot {names.path}: processes {sorted(found)} do not die")


def _unmount(root: Path) -> None:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    for point in reversed([point for point in points if Path(point).is_relative_to(root)]):
        subprocess.run(["umount", "--lazy", point], check=True, capture_output=True, timeout=_DEADLINE)


def _remove_links(names: Names) -> None:
    """The slot's own bridge, and those that its engine made, which only the engine's database still names."""
    ours = {names.bridge} | libpod.bridges(names)
    database = names.path / "docker/network/files/local-kv.db"
    if database.is_file():
        ours |= {name.decode() for name in re.findall(rb'"BridgeName":"([\w.-]+)"', database.read_bytes())}
    for link in sorted(ours):
        for port in Path("/sys/class/net", link, "brif").glob("*"):
            _delete_link(port.name)
        if Path("/sys/class/net", link, "bridge").exists():
            _delete_link(link)


def _delete_link(name: str) -> None:
    """A veth goes by itself with its network namespace, and so may vanish under our hands."""
    done = subprocess.run(["ip", "link", "delete", name], capture_output=True, text=True, timeout=_DEADLINE)
    if done.returncode and Path("/sys/class/net", name).exists():
        raise OSError(f"ip link delete {name}: {done.stderr.strip()}")


def _remove_cgroup(path: Path) -> None:
    """Remove a cgroup from its leaves up. The kernel says busy for a moment after its last process died."""
    deadline = time.monotonic() + _DEADLINE
    for directory, _, _ in os.walk(path, topdown=False):
        while True:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                os.sched_yield()
            else:
                break
