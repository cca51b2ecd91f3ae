"""Seccomp profiles as container engines write them, turned into what an OCI runtime takes. Pure.

Engines' profiles have rules that hold for some architectures, kernels and capabilities only, which OCI's form has not:
the question is answered here, for this host and this container.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci.facts import HostFacts
from runtimes.shared import profiles

PACKAGE = "golang-github-containers-common (Debian) or containers-common"
"""Brings the profile that RuntimeDefault means."""

_FIELD = "config.linux.security_context.seccomp"
_ARCHITECTURES = {
    "amd64": "SCMP_ARCH_X86_64",
    "386": "SCMP_ARCH_X86",
    "arm64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "riscv64": "SCMP_ARCH_RISCV64",
    "s390x": "SCMP_ARCH_S390X",
}
_WHOLE = ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")
"""Keys that both forms share."""


def of_container(
    context: v1.LinuxContainerSecurityContext, localhost_json: str, capabilities: Collection[str], host: HostFacts
) -> dict[str, Any] | None:
    """``linux.seccomp``; None for no filter. Raises FailedPrecondition where the host has no default profile or no
    filters, InvalidArgument for a profile that cannot be read."""
    profile = profiles.seccomp(context)
    if context.privileged or profile.profile_type == v1.SecurityProfile.Unconfined:
        return None
    if not host.seccomp:
        raise FailedPrecondition(f"{_FIELD}: this host's kernel has no seccomp; ask for Unconfined")
    if profile.profile_type == v1.SecurityProfile.Localhost:
        return filters(_parsed(localhost_json), capabilities, host)
    if host.seccomp_profile is None:
        raise FailedPrecondition(f"{_FIELD}: this host has no default profile; the package {PACKAGE} brings it")
    return filters(host.seccomp_profile, capabilities, host)


def filters(profile: Mapping[str, Any], capabilities: Collection[str], host: HostFacts) -> dict[str, Any]:
    """``profile`` for a process that can have ``capabilities`` (CAP_…). Raises InvalidArgument."""
    capabilities = frozenset(capabilities)
    try:
        found = {"defaultAction": profile["defaultAction"], **{key: profile[key] for key in _WHOLE if key in profile}}
        found["architectures"] = _architectures(profile, host)
        found["syscalls"] = [
            _rule(rule) for rule in profile.get("syscalls") or () if _applies(rule, capabilities, host)
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidArgument(f"{_FIELD}: not a seccomp profile: {type(error).__name__} {error}") from error
    return found


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"{_FIELD}.localhost_ref: the profile is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgument(f"{_FIELD}.localhost_ref: the profile is a JSON {type(found).__name__}, not an object")
    return found


def _architectures(profile: Mapping[str, Any], host: HostFacts) -> list[str]:
    """Those that this host's kernel runs: without the 32 bit ones a program of theirs would be killed, with no filter
    for them it would not be filtered."""
    native = _ARCHITECTURES.get(host.architecture)
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == native:
            return [entry["architecture"], *(entry.get("subArchitectures") or ())]
    return list(profile.get("architectures") or ())


def _applies(rule: Mapping[str, Any], capabilities: frozenset[str], host: HostFacts) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("arches") and host.architecture not in includes["arches"]:
        return False
    if not capabilities.issuperset(includes.get("caps") or ()):
        return False
    if includes.get("minKernel") and host.kernel < _version(includes["minKernel"]):
        return False
    if host.architecture in (excludes.get("arches") or ()) or not capabilities.isdisjoint(excludes.get("caps") or ()):
        return False
    return not (excludes.get("minKernel") and host.kernel >= _version(excludes["minKernel"]))


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"names": list(rule.get("names") or [rule["name"]]), "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        found["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        found["args"] = [_argument(each) for each in rule["args"]]
    return found


def _argument(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: given[key] for key in ("index", "value", "op")}
    return found | ({"valueTwo": given["valueTwo"]} if given.get("valueTwo") else {})


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)
