"""Security profiles as Docker's ``SecurityOpt``. Pure."""

from __future__ import annotations

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.docker.features import Features


def seccomp_option(profile: v1.SecurityProfile, localhost_json: str) -> list[str]:
    """``localhost_json`` is the content of the file that a Localhost profile names."""
    if profile.profile_type == v1.SecurityProfile.Unconfined:
        return ["seccomp=unconfined"]
    if profile.profile_type == v1.SecurityProfile.Localhost:
        return [f"seccomp={localhost_json}"]
    return []


def apparmor_option(profile: v1.SecurityProfile, features: Features) -> list[str]:
    """Raises FailedPrecondition for a profile by name on a host without AppArmor."""
    if profile.profile_type == v1.SecurityProfile.Unconfined:
        return ["apparmor=unconfined"] if features.apparmor else []
    if profile.profile_type == v1.SecurityProfile.Localhost:
        if not features.apparmor:
            raise FailedPrecondition(
                f"security_context.apparmor: profile {profile.localhost_ref!r} needs AppArmor, which this host has not"
            )
        return [f"apparmor={profile.localhost_ref}"]
    return []


def selinux_options(options: v1.SELinuxOption) -> list[str]:
    """``label=…`` for each part that is set; without SELinux Docker ignores them."""
    parts = {"user": options.user, "role": options.role, "type": options.type, "level": options.level}
    return [f"label={name}:{value}" for name, value in parts.items() if value]


def user(uid: v1.Int64Value | None, username: str, gid: v1.Int64Value | None) -> str:
    """Docker's ``User``: ``uid``, ``name``, with ``:gid`` where one is given; empty is the image's own."""
    name = username or (str(uid.value) if uid is not None else "")
    return f"{name}:{gid.value}" if name and gid is not None else name
