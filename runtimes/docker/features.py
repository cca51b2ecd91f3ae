"""What this engine can do, computed from its answers to /version and /info, never assumed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cri.errors import FailedPrecondition
from cri.platforms import Platform, parse
from runtimes.shared.engine_process import EngineProcess

OLDEST_API = (1, 41)
"""Docker 20.10. Older engines are refused when opened."""

NEWEST_API = (1, 55)
"""The newest API whose answers this backend was written for; a newer engine is spoken to in this one, or the oldest
that it still understands."""


def api_tuple(text: str) -> tuple[int, int]:
    """``1.41`` -> (1, 41)."""
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def negotiate(version: Mapping[str, Any]) -> str:
    """The API version to speak with an engine that answered ``version``. Raises FailedPrecondition for an old one."""
    offered = api_tuple(str(version["ApiVersion"]))
    if offered < OLDEST_API:
        raise FailedPrecondition(
            f"Docker Engine {version.get('Version', '?')} speaks API {version['ApiVersion']}; "
            f"minicri needs {OLDEST_API[0]}.{OLDEST_API[1]} (Docker 20.10) or newer"
        )
    oldest_spoken = api_tuple(str(version.get("MinAPIVersion") or "1.0"))
    return "{}.{}".format(*max(min(offered, NEWEST_API), oldest_spoken))


@dataclass(frozen=True, slots=True)
class Features:
    """Abilities that differ between engines. The comment names what an engine without it does."""

    endpoint_mac: bool  # since 1.44 a MAC belongs to the endpoint; before, to the container's config
    recursive_read_only: bool  # since 1.44 (engine 25) on a kernel from 5.12; before, submounts stay writable
    image_mounts: bool  # since 1.48 (engine 28); before, there is no mount of type image
    image_manifests: bool  # since 1.48 an engine tells of which platforms an image is there; before, there was just one
    image_platforms: bool  # since 1.49 one image name may hold several platforms; before, just one
    cdi_devices: bool  # since 1.44 (engine 25); before, a device is named by its path only
    checkpoints: bool  # the daemon runs with `experimental`; before it is asked, nobody knows whether CRIU is there
    user_namespace_remap: bool  # the daemon runs with userns-remap, so that `host` opts out of it
    seccomp: bool
    apparmor: bool
    selinux: bool
    cgroup_v2: bool
    rootless: bool

    def as_dict(self) -> dict[str, bool]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The engine as it introduced itself. Asked once, and again after it was away."""

    engine_version: str
    api_version: str
    features: Features
    platform: Platform
    cgroup_driver: str  # "systemd", "cgroupfs" or "none"
    handlers: tuple[str, ...]  # OCI runtimes that may be named as runtime_handler
    default_handler: str
    log_driver: str  # of a container for which none is named
    root_dir: str
    kernel: str
    name: str
    process: EngineProcess


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether the engine runs in a user namespace of an ordinary user."""
    return "rootless" in _security_options(info)


def facts_from(version: Mapping[str, Any], info: Mapping[str, Any], process: EngineProcess) -> EngineFacts:
    """Read the answers to /version and /info."""
    api_version = negotiate(version)
    api = api_tuple(api_version)
    kernel = str(info.get("KernelVersion") or "")
    options = _security_options(info)
    return EngineFacts(
        engine_version=str(version.get("Version") or "unknown"),
        api_version=api_version,
        features=Features(
            endpoint_mac=api >= (1, 44),
            recursive_read_only=api >= (1, 44) and _kernel_tuple(kernel) >= (5, 12),
            image_mounts=api >= (1, 48),
            image_manifests=api >= (1, 48),
            image_platforms=api >= (1, 49),
            cdi_devices=api >= (1, 44),
            checkpoints=bool(info.get("ExperimentalBuild")),
            user_namespace_remap="userns" in options,
            seccomp="seccomp" in options,
            apparmor="apparmor" in options,
            selinux="selinux" in options,
            cgroup_v2=str(info.get("CgroupVersion")) == "2",
            rootless="rootless" in options,
        ),
        platform=parse(f"{info.get('OSType') or 'linux'}/{info.get('Architecture') or 'x86_64'}"),
        cgroup_driver=str(info.get("CgroupDriver") or "cgroupfs"),
        handlers=tuple(sorted(info.get("Runtimes") or {})),
        default_handler=str(info.get("DefaultRuntime") or ""),
        log_driver=str(info.get("LoggingDriver") or ""),
        root_dir=str(info.get("DockerRootDir") or ""),
        kernel=kernel,
        name=str(info.get("Name") or ""),
        process=process,
    )


def _security_options(info: Mapping[str, Any]) -> set[str]:
    """``["name=seccomp,profile=default", "name=rootless"]`` -> {"seccomp", "rootless"}."""
    return {str(option).partition(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or ()}


def _kernel_tuple(release: str) -> tuple[int, int]:
    """``6.1.0-18-amd64`` -> (6, 1); what cannot be read is old."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)
