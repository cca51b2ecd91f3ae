"""CRI's ContainerConfig as a container config of Docker's API. Pure."""

from __future__ import annotations

from typing import Any

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.docker import (
    capabilities,
    mounts,
    namespaces,
    resources,
    sandbox_config,
    security,
)
from runtimes.docker.features import EngineFacts
from runtimes.shared import image_status, labels, profiles, sandbox_rules


def container(
    request: v1.CreateContainerRequest,
    sandbox: v1.RunPodSandboxRequest,
    facts: EngineFacts,
    *,
    user: v1.LinuxContainerUser,
    created_ns: int,
    default_cgroup_parent: str = "",
    seccomp_json: str = "",
) -> dict[str, Any]:
    """The body of /containers/create. Raises InvalidArgument, FailedPrecondition or Unimplemented for what this
    engine cannot honour."""
    config = request.config
    parent = sandbox.config.linux.cgroup_parent or default_cgroup_parent
    body: dict[str, Any] = {
        "Image": image_status.engine_name(config.image.image, field="config.image.image"),
        "User": f"{user.uid}:{user.gid}",
        "Env": _environment(config),
        "WorkingDir": config.working_dir,
        "Labels": labels.container_labels(request, created_ns),
        "OpenStdin": config.stdin,
        "StdinOnce": config.stdin_once,
        "Tty": config.tty,
        # CRI's health checks are the client's; the image's own would only run beside them.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "CgroupParent": sandbox_rules.cgroup_parent(parent, facts.cgroup_driver),
            "Runtime": sandbox_config.handler(sandbox.runtime_handler, facts),
            "GroupAdd": [str(group) for group in user.supplemental_groups if group != user.gid],
            **namespaces.options(request, sandbox.config, facts),
            **mounts.options(config.mounts, facts),
            **mounts.devices(config, facts),
            **resources.options(config.linux.resources, facts),
            **_security(config.linux.security_context, sandbox.config, facts, seccomp_json),
        },
    }
    if config.command:
        body["Entrypoint"] = list(config.command)
    if config.args:
        body["Cmd"] = list(config.args)
    if config.stop_signal != v1.SIGNAL_RUNTIME_DEFAULT:
        body["StopSignal"] = v1.Signal.Name(config.stop_signal).removeprefix("SIGNAL_")
    return body


def _environment(config: v1.ContainerConfig) -> list[str]:
    try:
        return [f"{pair.key}={pair.value.decode()}" for pair in config.envs]
    except UnicodeDecodeError as error:
        raise InvalidArgument("config.envs: a value is not UTF-8, which Docker's API cannot carry") from error


def _security(
    context: v1.LinuxContainerSecurityContext, sandbox: v1.PodSandboxConfig, facts: EngineFacts, seccomp_json: str
) -> dict[str, Any]:
    found: dict[str, Any] = {"ReadonlyRootfs": context.readonly_rootfs}
    options = ["no-new-privileges"] if context.no_new_privs else []
    if context.privileged:
        if not sandbox.linux.security_context.privileged:
            raise InvalidArgument(
                "config.linux.security_context.privileged is not possible in a sandbox that is not privileged itself"
            )
        # CRI: privileged overrules profiles, capabilities and paths. Docker would let an explicit profile win.
        return found | {"Privileged": True, "SecurityOpt": [*options, "seccomp=unconfined"]}
    options += security.selinux_options(context.selinux_options)
    options += security.apparmor_option(profiles.apparmor(context), facts.features)
    options += security.seccomp_option(profiles.seccomp(context), seccomp_json)
    found |= capabilities.options(context.capabilities, facts)
    # Nothing said is the engine's own list: an empty one would uncover what only privileged containers may see.
    if context.masked_paths:
        found["MaskedPaths"] = list(context.masked_paths)
    if context.readonly_paths:
        found["ReadonlyPaths"] = list(context.readonly_paths)
    return found | {"SecurityOpt": options}
