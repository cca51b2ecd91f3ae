"""Facts of engines and small configs that the tests of this package share."""

from __future__ import annotations

from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.docker.features import EngineFacts, facts_from
from runtimes.shared.engine_process import EngineProcess

VERSION_20 = {"Version": "20.10.24", "ApiVersion": "1.41"}
VERSION_29 = {"Version": "29.0.1", "ApiVersion": "1.52"}
INFO: dict[str, Any] = {
    "KernelVersion": "6.1.0-18-amd64",
    "SecurityOptions": ["name=seccomp,profile=default", "name=apparmor"],
    "OSType": "linux",
    "Architecture": "x86_64",
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "1",
    "Runtimes": {"runc": {}, "crun": {}},
    "DefaultRuntime": "runc",
    "DockerRootDir": "/var/lib/docker",
    "Name": "host",
}


def facts(version: dict[str, str] | None = None, process: EngineProcess | None = None, **info: object) -> EngineFacts:
    """What an engine of ``version`` (20.10 by default) says of itself, with ``info`` over the usual answer."""
    return facts_from(version or VERSION_20, INFO | info, process or EngineProcess())


def sandbox(name: str = "web", **fields: Any) -> v1.PodSandboxConfig:
    """A sandbox config with complete metadata."""
    metadata = v1.PodSandboxMetadata(name=name, namespace="tests", uid=f"uid-{name}")
    return v1.PodSandboxConfig(metadata=metadata, **fields)


def linux(**security: Any) -> v1.LinuxPodSandboxConfig:
    """The linux part with this security context."""
    return v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(**security))
