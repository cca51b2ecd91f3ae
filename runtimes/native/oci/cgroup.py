"""Where the cgroups are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cri.errors import InvalidArgument
from runtimes.native.oci.facts import HostFacts
from runtimes.shared import sandbox_rules

_PREFIX = "minicri"
"""Of the names of scopes that systemd makes for containers."""


def parent(wanted: str, default: str, host: HostFacts) -> str:
    """The parent for a sandbox whose config has ``wanted``, which may be empty, in the form that the driver takes.
    Empty where there are none. Raises InvalidArgument for what is no place below the root."""
    if not host.cgroups:
        return ""
    if not wanted and host.cgroup_driver == "systemd":
        default = _as_slice(default)
    path = sandbox_rules.cgroup_parent(wanted or default, host.cgroup_driver)
    if ".." in path.split("/") or "\0" in path or ":" in path:
        raise InvalidArgument(f"config.linux.cgroup_parent: {wanted!r} must not contain '..' or ':'")
    return path if host.cgroup_driver == "systemd" else "/" + path.strip("/")


def of_sandbox(above: str, sandbox_id: str, host: HostFacts) -> str:
    """A sandbox's own, below what ``parent`` gave: a path, or the name of a slice."""
    if host.cgroup_driver == "systemd":
        return f"{above.removesuffix('.slice').strip('-')}-{sandbox_id}.slice".lstrip("-")
    return f"{above.rstrip('/')}/{sandbox_id}" if host.cgroups else above


def path_of(name: str) -> str:
    """Where a cgroup is in its hierarchy: a slice is in the one that its name has before the last dash."""
    if "/" in name:
        return name
    parts = name.removesuffix(".slice").split("-")
    return "".join(f"/{'-'.join(parts[: count + 1])}.slice" for count in range(len(parts)))


def _as_slice(path: str) -> str:
    """The slice that a path of cgroups stands for: a dash in its name is a level."""
    return path if path.rstrip("/").endswith(".slice") else f"{path.strip('/').replace('/', '-')}.slice"


def of_container(above: str, container_id: str, host: HostFacts) -> str:
    """``linux.cgroupsPath`` below what ``of_sandbox`` gave."""
    if host.cgroup_driver == "systemd":
        return f"{above}:{_PREFIX}:{container_id}"
    return f"{above.rstrip('/')}/{container_id}"


def places(above: str, container_id: str, resources: Mapping[str, Any], host: HostFacts) -> dict[str, Any]:
    """What the config says of a container's cgroup; nothing where there are none."""
    if not host.cgroups:
        return {}
    return {"cgroupsPath": of_container(above, container_id, host), "resources": dict(resources)}
