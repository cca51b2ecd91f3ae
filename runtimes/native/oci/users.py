"""User namespaces: a sandbox's own users, and mounts that follow them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.oci.facts import HostFacts

_FIELD = "config.linux.security_context.namespace_options.userns_options"


def has_own(options: v1.NamespaceOption) -> bool:
    """Whether a sandbox has users of its own."""
    return options.HasField("userns_options") and options.userns_options.mode == v1.POD


def on_host(number: int, mappings: Iterable[v1.IDMapping]) -> int:
    """A user or group of the sandbox as the host sees it. Raises InvalidArgument for one that is mapped to nobody."""
    for each in mappings:
        if each.container_id <= number < each.container_id + each.length:
            return each.host_id + number - each.container_id
    raise InvalidArgument(f"{_FIELD}: {number} is outside of the sandbox's mappings")


def mappings(options: v1.NamespaceOption) -> dict[str, list[dict[str, int]]]:
    """``uidMappings`` and ``gidMappings``, which runtimes need beside the namespace; empty for the host's users."""
    if not has_own(options):
        return {}
    users = options.userns_options
    return {"uidMappings": _mappings(users.uids), "gidMappings": _mappings(users.gids)}


def is_mapped(number: int, options: v1.NamespaceOption) -> bool:
    """Whether there is a user and a group with this number in a sandbox."""
    if not has_own(options):
        return True
    mapped = (options.userns_options.uids, options.userns_options.gids)
    return all(any(0 <= number - each.container_id < each.length for each in kind) for kind in mapped)


def check_sandbox(options: v1.NamespaceOption, host: HostFacts) -> None:
    """Raises InvalidArgument for a sandbox whose users are mapped to nobody, Unimplemented where there are none to
    give."""
    if has_own(options) and host.rootless:
        raise Unimplemented(f"{_FIELD}: without root there are no other users to give; use NODE, or run as root")
    if has_own(options) and not (options.userns_options.uids and options.userns_options.gids):
        raise InvalidArgument(f"{_FIELD}: POD needs uids and gids")


def check_container(wanted: v1.NamespaceOption, given: v1.NamespaceOption) -> None:
    """Raises InvalidArgument for a container that wants other users than its sandbox has."""
    if wanted.HasField("userns_options") and has_own(wanted) != has_own(given):
        raise InvalidArgument(f"{_FIELD}: a container has the users of its sandbox")


def follows(mount: v1.Mount, given: v1.NamespaceOption, host: HostFacts) -> bool:
    """Whether the files of ``mount`` are to belong to the sandbox's users. Raises Unimplemented for other mappings, and
    where the kernel cannot."""
    if not mount.uidMappings and not mount.gidMappings:
        return False
    users = given.userns_options
    where = f"config.mounts: {mount.container_path!r}"
    if not has_own(given) or (list(mount.uidMappings), list(mount.gidMappings)) != (list(users.uids), list(users.gids)):
        raise Unimplemented(f"{where} maps users otherwise than its sandbox, which is not possible")
    if not host.idmapped_mounts:
        raise Unimplemented(f"{where} maps users, which needs Linux 5.12; this is {'.'.join(map(str, host.kernel))}")
    return True


def _mappings(found: Iterable[v1.IDMapping]) -> list[dict[str, int]]:
    return [{"containerID": each.container_id, "hostID": each.host_id, "size": each.length} for each in found]
