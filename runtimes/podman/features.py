"""What this engine can do, computed from its answers to /version and /info, never assumed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cri.errors import FailedPrecondition
from cri.platforms import Platform, parse
from runtimes.shared.engine_process import EngineProcess

OLDEST = (4, 3)
"""Podman 4.3. Older engines are refused when opened."""

SPOKEN = (4, 0, 0)
"""The libpod API that this backend was written for. An engine says which is the oldest that it still answers."""


def version_tuple(text: str) -> tuple[int, ...]:
    """``4.3.1`` and ``5.0.0-dev`` -> (4, 3, 1) and (5, 0, 0)."""
    numbers = [part for part in text.partition("-")[0].split(".") if part.isdecimal()]
    return tuple(int(part) for part in numbers)


def negotiate(version: Mapping[str, Any]) -> str:
    """The API version to speak with an engine that answered ``version``. Raises FailedPrecondition for an old one."""
    details = _engine_details(version)
    if version_tuple(str(version.get("Version") or "")) < OLDEST:
        raise FailedPrecondition(
            f"Podman {version.get('Version', '?')} is too old; minicri needs {OLDEST[0]}.{OLDEST[1]} or newer"
        )
    oldest = version_tuple(str(details.get("MinAPIVersion") or ""))
    return ".".join(map(str, max(SPOKEN, oldest)))


@dataclass(frozen=True, slots=True)
class Features:
    """Abilities that differ between engines."""

    netavark: bool  # the network stack from 4.0 on; else CNI, which gives no addresses for IPv6 and no DNS by itself
    image_subpaths: bool  # since 5.4 part of an image can be mounted
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
    cgroup_driver: str  # "systemd" or "cgroupfs"
    default_handler: str  # the OCI runtime; Podman does not say which others it was configured with
    root_dir: str
    run_dir: str
    storage_driver: str
    kernel: str
    name: str
    process: EngineProcess

    @property
    def version(self) -> tuple[int, ...]:
        return version_tuple(self.engine_version)


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether the engine runs in a user namespace of an ordinary user."""
    return bool((info["host"].get("security") or {}).get("rootless"))


def facts_from(version: Mapping[str, Any], info: Mapping[str, Any], process: EngineProcess) -> EngineFacts:
    """Read the answers to /version and /info."""
    host = info["host"]
    security = host.get("security") or {}
    store = info.get("store") or {}
    engine_version = str(version.get("Version") or "unknown")
    return EngineFacts(
        engine_version=engine_version,
        api_version=negotiate(version),
        features=Features(
            netavark=host.get("networkBackend") == "netavark",
            image_subpaths=version_tuple(engine_version) >= (5, 4),
            seccomp=bool(security.get("seccompEnabled")),
            apparmor=bool(security.get("apparmorEnabled")),
            selinux=bool(security.get("selinuxEnabled")),
            cgroup_v2=host.get("cgroupVersion") == "v2",
            rootless=is_rootless(info),
        ),
        platform=parse(f"{host.get('os') or 'linux'}/{host.get('arch') or 'amd64'}"),
        cgroup_driver=str(host.get("cgroupManager") or "cgroupfs"),
        default_handler=str((host.get("ociRuntime") or {}).get("name") or ""),
        root_dir=str(store.get("graphRoot") or ""),
        run_dir=str(store.get("runRoot") or ""),
        storage_driver=str(store.get("graphDriverName") or ""),
        kernel=str(host.get("kernel") or ""),
        name=str(host.get("hostname") or ""),
        process=process,
    )


def _engine_details(version: Mapping[str, Any]) -> Mapping[str, Any]:
    """What /version says of the engine's own libpod API; its top level is about the Docker-compatible one."""
    for component in version.get("Components") or ():
        if component.get("Name") == "Podman Engine":
            details: Mapping[str, Any] = component.get("Details") or {}
            return details
    return {}
