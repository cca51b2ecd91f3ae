"""A container's devices: the nodes that it sees, and the cgroup rules that let it use them. Pure.

Every runtime adds null, zero, full, random, urandom, tty, ptmx and the container's own terminals, with their rules.
"""

from __future__ import annotations

from typing import Any

from runtimes.native.oci.facts import ContainerRequest

_EVERY_ACCESS = "rwm"


def nodes(request: ContainerRequest) -> list[dict[str, Any]]:
    """``linux.devices``."""
    return [
        {
            "path": device.path,
            "type": device.kind,
            "major": device.major,
            "minor": device.minor,
            "fileMode": device.mode,
            "uid": device.uid,
            "gid": device.gid,
        }
        for device in request.devices
    ]


def rules(request: ContainerRequest) -> list[dict[str, Any]]:
    """``linux.resources.devices``: nothing but what was asked for, and all of it for a privileged container."""
    if request.config.linux.security_context.privileged:
        return [{"allow": True, "access": _EVERY_ACCESS}]
    allowed = (
        {
            "allow": True,
            "type": device.kind,
            "major": device.major,
            "minor": device.minor,
            "access": device.access or _EVERY_ACCESS,
        }
        for device in request.devices
    )
    return [{"allow": False, "access": _EVERY_ACCESS}, *allowed]
