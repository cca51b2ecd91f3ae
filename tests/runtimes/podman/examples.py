"""Facts of engines and small configs that the tests of this package share."""

from __future__ import annotations

from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.podman.features import EngineFacts, facts_from
from runtimes.shared.engine_process import EngineProcess


def version(number: str = "4.3.1", oldest: str = "4.0.0") -> dict[str, Any]:
    """What an engine answers to /version."""
    details = {"APIVersion": number, "MinAPIVersion": oldest}
    return {"Version": number, "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Details": details}]}


INFO: dict[str, Any] = {
    "host": {
        "arch": "amd64",
        "os": "linux",
        "cgroupManager": "cgroupfs",
        "cgroupVersion": "v1",
        "kernel": "6.1.0-18-amd64",
        "hostname": "host",
        "networkBackend": "netavark",
        "ociRuntime": {"name": "crun"},
        "security": {"rootless": False, "seccompEnabled": True, "apparmorEnabled": False, "selinuxEnabled": False},
    },
    "store": {"graphRoot": "/var/lib/containers/storage"},
}


def facts(number: str = "4.3.1", process: EngineProcess | None = None, **host: Any) -> EngineFacts:
    """What an engine says of itself, with ``host`` over the usual part; ``security`` over its usual part."""
    security = {**INFO["host"]["security"], **host.pop("security", {})}
    info = {**INFO, "host": {**INFO["host"], **host, "security": security}}
    return facts_from(version(number), info, process or EngineProcess())


def sandbox(name: str = "web", **fields: Any) -> v1.PodSandboxConfig:
    """A sandbox config with complete metadata."""
    metadata = v1.PodSandboxMetadata(name=name, namespace="tests", uid=f"uid-{name}")
    return v1.PodSandboxConfig(metadata=metadata, **fields)


def linux(**security: Any) -> v1.LinuxPodSandboxConfig:
    """The linux part with this security context."""
    return v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(**security))


def own_users(first: int = 100000, length: int = 65536) -> v1.NamespaceOption:
    """Namespaces of a sandbox with users of its own."""
    mapping = v1.IDMapping(container_id=0, host_id=first, length=length)
    return v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.POD, uids=[mapping], gids=[mapping]))
