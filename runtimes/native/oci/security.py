"""Paths that a container must not see or change, and its labels. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import selinux, users
from runtimes.native.oci.facts import HostFacts, SandboxFacts
from runtimes.shared import profiles

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
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
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

APPARMOR_PROFILE = "minicri-default"
"""What RuntimeDefault means; ``apparmor`` has its text and loads it."""

_FIELD = "config.linux.security_context"


def paths(context: v1.LinuxContainerSecurityContext, sandbox: SandboxFacts) -> dict[str, list[str]]:
    """``maskedPaths`` and ``readonlyPaths``.

    Nothing said is our own list: few clients but the kubelet say anything, and they do not mean to uncover the
    kernel's secrets. Where the sandbox has users of its own nothing said is nothing: that is how the kubelet asks for
    an unmasked /proc, in such a sandbox only, and the kernel itself guards what belongs to the host's root.
    """
    if context.privileged:
        return {"maskedPaths": [], "readonlyPaths": []}
    literal = users.has_own(sandbox.config.linux.security_context.namespace_options)
    masked, readonly = list(context.masked_paths), list(context.readonly_paths)
    if not literal:
        masked, readonly = masked or list(MASKED_PATHS), readonly or list(READONLY_PATHS)
    return {
        "maskedPaths": _absolute("masked_paths", masked),
        "readonlyPaths": _absolute("readonly_paths", readonly),
    }


def label(
    spec: dict[str, Any], context: v1.LinuxContainerSecurityContext, sandbox: SandboxFacts, host: HostFacts
) -> None:
    """Put the labels of AppArmor and SELinux into ``spec``, where the host has them. Raises FailedPrecondition for a
    profile by name on a host without AppArmor."""
    if profile := apparmor(context, host):
        spec["process"]["apparmorProfile"] = profile
    if labels := selinux_labels(context, sandbox, host):
        spec["process"]["selinuxLabel"] = labels.process
        spec["linux"]["mountLabel"] = labels.files


def selinux_labels(
    context: v1.LinuxContainerSecurityContext, sandbox: SandboxFacts, host: HostFacts
) -> selinux.Labels | None:
    """The labels of a container; None where it has none."""
    if not host.selinux or context.privileged:
        return None
    options = context.selinux_options
    given = sandbox.config.linux.security_context.selinux_options
    return selinux.labels(options if options.ByteSize() else given, sandbox.id)


def apparmor(context: v1.LinuxContainerSecurityContext, host: HostFacts) -> str:
    """The profile by name; empty for none."""
    profile = profiles.apparmor(context)
    if context.privileged or profile.profile_type == v1.SecurityProfile.Unconfined:
        return ""
    if profile.profile_type == v1.SecurityProfile.Localhost:
        if not host.apparmor:
            raise FailedPrecondition(
                f"{_FIELD}.apparmor: profile {profile.localhost_ref!r} needs AppArmor, which this host has not"
            )
        return profiles.localhost_path(profile)
    return APPARMOR_PROFILE if host.apparmor else ""


def _absolute(field: str, given: Iterable[str]) -> list[str]:
    found = list(given)
    for path in found:
        if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
            raise InvalidArgument(f"{_FIELD}.{field}: {path!r} is not an absolute path without '..'")
    return found
