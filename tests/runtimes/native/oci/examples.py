"""Facts and small configs that the tests of this package share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.native.oci.facts import ContainerRequest, HostFacts, ImageFacts, SandboxFacts
from runtimes.native.oci.spec import container_spec
from runtimes.shared.accounts import Accounts

Profile = v1.SecurityProfile
DIRECTORY = Path("/run/sandboxes/s")
PINNED = {name: Path("/run/ns/s", name) for name in ("net", "ipc", "uts")}
SECCOMP: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
}


def host(**facts: Any) -> HostFacts:
    """A host with a default profile and nothing unusual."""
    return HostFacts(**{"seccomp_profile": SECCOMP, **facts})


def linux(**security: Any) -> v1.LinuxPodSandboxConfig:
    """A sandbox's linux part with this security context."""
    return v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(**security))


def sandbox(linux: v1.LinuxPodSandboxConfig | None = None, **facts: Any) -> SandboxFacts:
    """A ready sandbox."""
    given = {"hostname": "web", "cgroup": "/minicri/s", "directory": DIRECTORY, "namespaces": PINNED}
    return SandboxFacts(id="s" * 64, config=v1.PodSandboxConfig(linux=linux), **{**given, **facts})


def context(**fields: Any) -> v1.LinuxContainerSecurityContext:
    """A container's security context, with processes of its own unless told otherwise."""
    fields.setdefault("namespace_options", v1.NamespaceOption(pid=v1.CONTAINER))
    return v1.LinuxContainerSecurityContext(**fields)


def own_users(first: int = 100000, length: int = 65536, **options: Any) -> v1.NamespaceOption:
    """Namespaces of a sandbox with users of its own."""
    mapping = v1.IDMapping(container_id=0, host_id=first, length=length)
    users = v1.UserNamespace(mode=v1.POD, uids=[mapping], gids=[mapping])
    return v1.NamespaceOption(userns_options=users, **options)


def config(
    security: v1.LinuxContainerSecurityContext | None = None,
    resources: v1.LinuxContainerResources | None = None,
    **fields: Any,
) -> v1.ContainerConfig:
    """A container of busybox."""
    fields.setdefault("command", ["true"])
    return v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="c"),
        image=v1.ImageSpec(image="busybox"),
        linux=v1.LinuxContainerConfig(security_context=security or context(), resources=resources),
        **fields,
    )


def spec(
    wanted: v1.ContainerConfig | None = None,
    pod: SandboxFacts | None = None,
    image: ImageFacts | None = None,
    facts: HostFacts | None = None,
    **request: Any,
) -> dict[str, Any]:
    """The config of a container; it can be written as JSON, as it will be."""
    made = container_spec(
        ContainerRequest(id="c" * 64, config=wanted or config(), rootfs=Path("/rootfs"), **request),
        pod or sandbox(),
        image or ImageFacts(accounts=Accounts()),
        facts or host(),
    )
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def mount(made: dict[str, Any], path: str) -> dict[str, Any]:
    """The one mount of a config at ``path``."""
    (found,) = (each for each in made["mounts"] if each["destination"] == path)
    assert isinstance(found, dict)
    return found
