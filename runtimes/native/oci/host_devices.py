"""The host's devices, as containers ask for them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import process
from runtimes.native.oci.cdi import Node
from runtimes.native.oci.facts import DeviceNode

_DEVICES = Path("/dev")
_NOT_THE_HOSTS = frozenset({"console", "fd", "mqueue", "ptmx", "pts", "shm", ".udev"})
"""Below /dev, what a container has of its own."""

_EVERY_ACCESS = "rwm"


def found(config: v1.ContainerConfig, named: Iterable[Node] = ()) -> Iterable[DeviceNode]:
    """Those that ``config`` asks for by path, those of a privileged container, and ``named``, which it asks for by
    name. Blocks. Raises InvalidArgument for a path that is no device, FailedPrecondition for a named one that is not
    there."""
    privileged = config.linux.security_context.privileged
    nodes = {node.path: node for node in _below(_DEVICES, str(_DEVICES), _EVERY_ACCESS)} if privileged else {}
    for index, device in enumerate(config.devices):
        target = process.inside(device.container_path or device.host_path)
        asked = list(_below(Path(device.host_path), target, device.permissions or _EVERY_ACCESS))
        if not asked:
            raise InvalidArgument(f"config.devices[{index}].host_path: {device.host_path!r} is no device")
        nodes |= {node.path: node for node in asked}
    nodes |= {node.path: node for node in map(_named, named)}
    return nodes.values()


def _named(wanted: Node) -> DeviceNode:
    path = process.inside(wanted.path)
    if {"kind", "major", "minor"} <= wanted.said.keys():
        return replace(DeviceNode(path, "c", 0, 0, access=wanted.access), **wanted.said)
    try:
        status = os.stat(wanted.host_path)
    except OSError as error:
        raise FailedPrecondition(f"config.CDI_devices: {wanted.host_path!r}: {error.strerror}") from error
    for node in _node(status, path, wanted.access):
        return replace(node, **wanted.said)
    raise FailedPrecondition(f"config.CDI_devices: {wanted.host_path!r} is no device")


def _below(source: Path, target: str, access: str) -> Iterable[DeviceNode]:
    """The device at ``source``, through links, or those in the directory, which are not followed."""
    try:
        status = source.stat()
    except OSError as error:
        raise InvalidArgument(f"config.devices: {str(source)!r} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        yield from _node(status, target, access)
        return
    for folder, below, names in os.walk(source):
        if Path(folder) == _DEVICES:
            below[:] = [name for name in below if name not in _NOT_THE_HOSTS]
        for name in sorted(set(names) - (_NOT_THE_HOSTS if Path(folder) == _DEVICES else set())):
            path = Path(folder, name)
            yield from _node(path.lstat(), f"{target.rstrip('/')}/{path.relative_to(source)}", access)


def _node(status: os.stat_result, path: str, access: str) -> Iterable[DeviceNode]:
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if kind:
        numbers = os.major(status.st_rdev), os.minor(status.st_rdev)
        yield DeviceNode(path, kind, *numbers, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, access)
