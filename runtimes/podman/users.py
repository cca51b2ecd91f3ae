"""User namespaces: a sandbox's own users, and mounts that follow them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman.features import EngineFacts

_FIELD = "config.linux.security_context.namespace_options.userns_options"


def of_pod(options: v1.NamespaceOption, facts: EngineFacts) -> dict[str, Any]:
    """The fields of a pod's spec; empty for the engine's own users. Raises InvalidArgument, and Unimplemented for an
    engine whose own users are mapped already."""
    if not has_own(options):
        return {}
    users = options.userns_options
    if facts.features.rootless:
        raise Unimplemented(f"{_FIELD}: a rootless Podman has no other users to give; use NODE")
    if not users.uids or not users.gids:
        raise InvalidArgument(f"{_FIELD}: POD needs uids and gids")
    return {
        "userns": {"nsmode": "private"},
        "idmappings": {
            "HostUIDMapping": False,
            "HostGIDMapping": False,
            "UIDMap": _mappings(users.uids),
            "GIDMap": _mappings(users.gids),
        },
    }


def has_own(options: v1.NamespaceOption) -> bool:
    """Whether a sandbox has users of its own. Raises InvalidArgument for what is none of CRI's modes."""
    if not options.HasField("userns_options") or options.userns_options.mode == v1.NODE:
        return False
    if options.userns_options.mode != v1.POD:
        raise InvalidArgument(f"{_FIELD}.mode: allowed are POD and NODE")
    return True


def check_container(wanted: v1.NamespaceOption, given: v1.NamespaceOption) -> None:
    """Raises InvalidArgument for a container that wants other users than its sandbox has."""
    if wanted.HasField("userns_options") and has_own(wanted) != has_own(given):
        raise InvalidArgument(f"{_FIELD}: a container has the users of its sandbox")


def mount_options(mount: v1.Mount, given: v1.NamespaceOption) -> list[str]:
    """What lets the files of a mount belong to the sandbox's users. Raises Unimplemented for other mappings."""
    if not mount.uidMappings and not mount.gidMappings:
        return []
    users = given.userns_options
    wanted, there = (list(mount.uidMappings), list(mount.gidMappings)), (list(users.uids), list(users.gids))
    if not has_own(given) or wanted != there:
        raise Unimplemented(
            f"config.mounts: {mount.container_path!r} maps users otherwise than its sandbox, which libpod cannot do"
        )
    return ["idmap"]


def _mappings(found: Iterable[v1.IDMapping]) -> list[dict[str, int]]:
    return [{"container_id": each.container_id, "host_id": each.host_id, "size": each.length} for each in found]
