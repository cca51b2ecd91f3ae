"""Security contexts as libpod's fields. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cri.errors import FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman.features import EngineFacts, Features
from runtimes.shared import profiles
from runtimes.shared.capabilities import ALL, plain

UNCONFINED = "unconfined"

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
"""What Podman masks unless told otherwise."""

READONLY_PATHS = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What Podman makes read-only unless told otherwise."""

_FIELD = "config.linux.security_context"


def container(
    context: v1.LinuxContainerSecurityContext,
    sandbox: v1.PodSandboxConfig,
    user: v1.LinuxContainerUser,
    facts: EngineFacts,
) -> dict[str, Any]:
    """The fields of a container's spec. Raises InvalidArgument, FailedPrecondition or Unimplemented."""
    found: dict[str, Any] = {
        "read_only_filesystem": context.readonly_rootfs,
        "no_new_privileges": context.no_new_privs,
    }
    if context.privileged:
        if not sandbox.linux.security_context.privileged:
            raise InvalidArgument(f"{_FIELD}.privileged is not possible in a sandbox that is not privileged itself")
        # CRI: privileged overrules profiles, capabilities and paths.
        return found | {"privileged": True, "seccomp_profile_path": UNCONFINED}
    return found | {
        "selinux_opts": selinux_options(context.selinux_options),
        "apparmor_profile": apparmor_profile(profiles.apparmor(context), facts.features),
        "seccomp_profile_path": seccomp_profile(profiles.seccomp(context)),
        **capabilities(context.capabilities, user),
        **_paths(context.masked_paths, context.readonly_paths),
    }


def seccomp_profile(profile: v1.SecurityProfile) -> str:
    """A file on the engine's host, ``unconfined``, or empty for the engine's own profile."""
    if profile.profile_type == v1.SecurityProfile.Unconfined:
        return UNCONFINED
    if profile.profile_type == v1.SecurityProfile.Localhost:
        return profiles.localhost_path(profile)
    return ""


def apparmor_profile(profile: v1.SecurityProfile, features: Features) -> str:
    """Raises FailedPrecondition for a profile by name on a host without AppArmor."""
    if profile.profile_type == v1.SecurityProfile.Unconfined:
        return UNCONFINED if features.apparmor else ""
    if profile.profile_type == v1.SecurityProfile.Localhost:
        if not features.apparmor:
            raise FailedPrecondition(
                f"security_context.apparmor: profile {profile.localhost_ref!r} needs AppArmor, which this host has not"
            )
        return profile.localhost_ref
    return ""


def selinux_options(options: v1.SELinuxOption) -> list[str]:
    """Each part that is set; without SELinux Podman ignores them."""
    parts = {"user": options.user, "role": options.role, "type": options.type, "level": options.level}
    return [f"{name}:{value}" for name, value in parts.items() if value]


def capabilities(wanted: v1.Capability, user: v1.LinuxContainerUser) -> dict[str, list[str]]:
    """CRI's rule is Podman's too: ALL first, then the single ones. Raises InvalidArgument for an unknown name,
    Unimplemented for ambient ones of root.

    Podman makes the added capabilities of an ordinary user ambient, and none of root's, who has no need of it.
    """
    add = plain(f"{_FIELD}.capabilities.add_capabilities", wanted.add_capabilities)
    drop = plain(f"{_FIELD}.capabilities.drop_capabilities", wanted.drop_capabilities)
    ambient = plain(f"{_FIELD}.capabilities.add_ambient_capabilities", wanted.add_ambient_capabilities)
    if ambient and user.uid == 0:
        raise Unimplemented(f"{_FIELD}.capabilities.add_ambient_capabilities: Podman sets none for root")
    if ALL in add and ALL in drop:
        add.remove(ALL)  # Podman refuses the pair
    return {"cap_add": list(dict.fromkeys([*add, *ambient])), "cap_drop": list(dict.fromkeys(drop))}


def _paths(masked: Iterable[str], readonly: Iterable[str]) -> dict[str, list[str]]:
    """Nothing said is the engine's own list: an empty one would uncover what only privileged containers may see.
    Read-only paths that are not on that list are ``read_only``'s to make."""
    wanted_masks, wanted_readonly = list(masked), list(readonly)
    for path in wanted_readonly:
        if not path.startswith("/"):
            raise InvalidArgument(f"{_FIELD}.readonly_paths: {path!r} is not an absolute path")
    unmask: list[str] = []
    if wanted_masks:
        unmask += [path for path in MASKED_PATHS if path not in wanted_masks]
    if wanted_readonly:
        unmask += [path for path in READONLY_PATHS if path not in wanted_readonly]
    return {"mask": [path for path in wanted_masks if path not in MASKED_PATHS], "unmask": unmask}
