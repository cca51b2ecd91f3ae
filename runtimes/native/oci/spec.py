"""A container's whole config for an OCI runtime. Pure."""

from __future__ import annotations

from typing import Any

from cri import validation
from runtimes.native.oci import (
    capabilities,
    cdi,
    cgroup,
    devices,
    mounts,
    namespaces,
    process,
    resources,
    seccomp,
    security,
    users,
)
from runtimes.native.oci.facts import OCI_VERSION, ContainerRequest, HostFacts, ImageFacts, SandboxFacts


def container_spec(
    request: ContainerRequest, sandbox: SandboxFacts, image: ImageFacts, host: HostFacts
) -> dict[str, Any]:
    """The ``config.json``. Raises InvalidArgument, FailedPrecondition or Unimplemented that names the field.

    CRI's annotations are not handed on: runtimes take some of theirs as orders, and they would be anybody's orders.
    """
    config, context = request.config, request.config.linux.security_context
    validation.member(context, sandbox.config.linux.security_context)
    rights = capabilities.sets(context, host)
    limits = {**resources.limits(config.linux.resources, host), "devices": devices.rules(request)}
    spec: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": process.of_container(request, sandbox, image, host, rights),
        "root": {"path": str(request.rootfs), "readonly": context.readonly_rootfs},
        "mounts": mounts.of_container(request, sandbox, image, host),
        "linux": {
            "namespaces": namespaces.of_container(request, sandbox, host),
            **users.mappings(sandbox.config.linux.security_context.namespace_options),
            **cgroup.places(sandbox.cgroup, request.id, limits, host),
            "devices": devices.nodes(request),
            "rootfsPropagation": mounts.propagation(config.mounts),
            **security.paths(context, sandbox),
        },
    }
    if filters := seccomp.of_container(context, request.seccomp_json, rights["bounding"], host):
        spec["linux"]["seccomp"] = filters
    cdi.apply(spec, request.brought)
    security.label(spec, context, sandbox, host)
    return spec
