"""Security profiles: from CRI's fields, the deprecated ones included, to what engines take."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1

_LOCALHOST = "localhost/"
_BY_WORD = {
    "runtime/default": v1.SecurityProfile.RuntimeDefault,
    "docker/default": v1.SecurityProfile.RuntimeDefault,
    "unconfined": v1.SecurityProfile.Unconfined,
}


def seccomp(context: v1.LinuxContainerSecurityContext | v1.LinuxSandboxSecurityContext) -> v1.SecurityProfile:
    """CRI: nothing said is unconfined, unlike a profile that says nothing, which is the engine's default."""
    if context.HasField("seccomp"):
        return context.seccomp
    return _from_word("seccomp_profile_path", context.seccomp_profile_path, v1.SecurityProfile.Unconfined)


def apparmor(context: v1.LinuxContainerSecurityContext) -> v1.SecurityProfile:
    """Nothing said is the engine's default."""
    if context.HasField("apparmor"):
        return context.apparmor
    return _from_word("apparmor_profile", context.apparmor_profile, v1.SecurityProfile.RuntimeDefault)


def _from_word(field: str, word: str, default: v1.SecurityProfile.ProfileType) -> v1.SecurityProfile:
    if word.startswith(_LOCALHOST):
        return v1.SecurityProfile(
            profile_type=v1.SecurityProfile.Localhost, localhost_ref=word.removeprefix(_LOCALHOST)
        )
    if word and word not in _BY_WORD:
        raise InvalidArgument(
            f"security_context.{field}: {word!r} is none of {', '.join(_BY_WORD)} and localhost/NAME; "
            f"it is deprecated anyway, use the message field"
        )
    return v1.SecurityProfile(profile_type=_BY_WORD.get(word, default))


def localhost_path(profile: v1.SecurityProfile) -> str:
    """The file that a Localhost profile names."""
    return profile.localhost_ref.removeprefix(_LOCALHOST)


async def read_seccomp(profile: v1.SecurityProfile) -> str:
    """The content of a Localhost profile, for an engine that wants it instead of the path. Raises InvalidArgument."""
    return await asyncio.to_thread(read_seccomp_now, profile) if _is_file(profile) else ""


def read_seccomp_now(profile: v1.SecurityProfile) -> str:
    """As ``read_seccomp``, for a thread that may block."""
    if not _is_file(profile):
        return ""
    path = Path(localhost_path(profile))
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"security_context.seccomp.localhost_ref: cannot read {str(path)!r}: {error}") from error


def _is_file(profile: v1.SecurityProfile) -> bool:
    return profile.profile_type == v1.SecurityProfile.Localhost
