"""What a private Podman has outside of its slot, and its removal.

That is: the hugetlb hierarchy, which crun misses on a host where cgroup v2 still owns it; netavark's rules in the
firewall; network namespaces in /run/netns; crun's state; cgroups. What several engines share goes with the last private
one, and only if it was not there before the first.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.host import hugetlb, netavark, processes
from tests.host.names import Names, slots_with
from tests.host.netavark import Network

DIRECTORY = "podman"
"""Below the slot: its presence says that the slot is, or was, a Podman's."""

CGROUPS = Path("/sys/fs/cgroup")
CGROUP_PARENT = "libpod_parent"
"""Where Podman puts the cgroups of pods that name no parent."""

_NAMESPACES = Path("/run/netns")
_NAMESPACE = re.compile(r"netns-[0-9a-f-]{36}")
"""What Podman calls one in there."""
_NETWORKS = Path("/run/containers/networks")
"""Podman's book of addresses in use, for all engines of root."""

_USERS_OWN = Path("/var/lib/containers/storage")
"""Where it exists, what all Podmans of root share is the user's own Podman's too. Beside it skopeo has its cache."""

_CRUN = Path("/run/crun")


def prepare(names: Names) -> None:
    """Make the directory of a slot's Podman, and give the host what it lacks. Called under the base lock."""
    directory = names.path / DIRECTORY
    directory.mkdir(exist_ok=True)
    hugetlb.require()


def containers(names: Names) -> list[str]:
    """The ids of the containers of the slot's Podman, if it had one."""
    return [path.name for path in names.path.glob(f"{DIRECTORY}/root/overlay-containers/*") if path.is_dir()]


def namespaces(names: Names) -> list[Path]:
    """The named network namespaces that processes of the slot are in. Asked before these are killed."""
    if not _is_podman(names) or not _NAMESPACES.is_dir():
        return []
    inhabited = _inhabited(processes.of_slot(names.path)) - {os.stat("/proc/self/ns/net").st_ino}
    return [path for path in _NAMESPACES.iterdir() if path.stat().st_ino in inhabited]


def _inhabited(pids: Iterable[int]) -> set[int]:
    """The network namespaces that these processes are in."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            found.add(os.stat(f"/proc/{pid}/ns/net").st_ino)
    return found


def cgroups(names: Names) -> list[Path]:
    """The cgroups of the pods of the slot's Podman, in every hierarchy."""
    found = set()
    for bundle in names.path.glob(f"{DIRECTORY}/root/overlay-containers/*/userdata/config.json"):
        path = json.loads(bundle.read_text()).get("linux", {}).get("cgroupsPath") or ""
        found.add(Path(path.lstrip("/")).parent)
    pods = [path for path in found if path.parent.name == CGROUP_PARENT]
    return [hierarchy / path for hierarchy in CGROUPS.glob("*") for path in pods if (hierarchy / path).is_dir()]


def bridges(names: Names) -> set[str]:
    """The bridges of the networks of the slot's Podman."""
    return {str(network["network_interface"]) for network in _networks(names) if network.get("network_interface")}


def forget(names: Names, ids: Iterable[str], left: Iterable[Path]) -> None:
    """Remove what the slot's Podman, whose containers were `ids`, has outside of the slot. Its processes are dead;
    `left` are the network namespaces that they were in."""
    if not _is_podman(names):
        return
    for path in left:
        _unmount_namespace(path)
    for name in ids:
        shutil.rmtree(_CRUN / name, ignore_errors=True)
    others = [other for other in slots_with(DIRECTORY) if other.number != names.number]
    last = not others and not _services()
    netavark.unpublish(_subnets(names), last=last)
    if last:
        _give_back()


def _is_podman(names: Names) -> bool:
    return (names.path / DIRECTORY).exists()


def _services() -> list[int]:
    """The Podman services of this host, of slots elsewhere and of users too."""
    commands = ((pid, processes.command(pid)) for pid in processes.pids())
    return [pid for pid, words in commands if words and Path(words[0]).name == "podman" and "service" in words]


def _give_back() -> None:
    """No private Podman is left: take away what they shared."""
    if not _USERS_OWN.exists():
        shutil.rmtree(_NETWORKS, ignore_errors=True)
        _remove_empty_cgroups()
        _remove_empty_namespaces()
        netavark.forget_idle()
    for directory in (_NETWORKS.parent, _CRUN, _NAMESPACES):
        with contextlib.suppress(OSError):  # not empty: somebody else's, or gone already
            directory.rmdir()


def _networks(names: Names) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in names.path.glob(f"{DIRECTORY}/networks/*.json")]


def _subnets(names: Names) -> list[Network]:
    listed = [subnet["subnet"] for network in _networks(names) for subnet in network.get("subnets") or ()]
    return [names.network, *map(ipaddress.ip_network, listed)]


def _remove_empty_cgroups() -> None:
    """Podman itself leaves those of pods in hierarchies that it does not look into."""
    for parent in CGROUPS.glob(f"*/{CGROUP_PARENT}"):
        for directory, _, _ in os.walk(parent, topdown=False):
            with contextlib.suppress(OSError):  # somebody is in there
                os.rmdir(directory)


def _remove_empty_namespaces() -> None:
    """Podman notes those of a container after it made them: one that was killed in between has left some."""
    inhabited = _inhabited(processes.pids())
    for path in _NAMESPACES.iterdir() if _NAMESPACES.is_dir() else ():
        if _NAMESPACE.fullmatch(path.name) and path.stat().st_ino not in inhabited:
            _unmount_namespace(path)


def _unmount_namespace(path: Path) -> None:
    netavark.run("umount", str(path))
    path.unlink(missing_ok=True)
