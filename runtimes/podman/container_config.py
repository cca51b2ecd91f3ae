"""CRI's ContainerConfig as libpod's spec of a container in a pod. Pure."""

from __future__ import annotations

from typing import Any

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.podman import mounts, namespaces, resources, sandbox_config, security
from runtimes.podman.features import EngineFacts
from runtimes.podman.log_file import log_configuration
from runtimes.shared import labels, signals

NO_HEALTH_CHECK = {"Test": ["NONE"], "Timeout": 30_000_000_000, "Retries": 3}
"""CRI's health checks are the client's; the image's own would only run beside them. The numbers (the first one is of
nanoseconds) are of no consequence, but from 5.4 on Podman refuses to change limits of a container that lacks them. It
makes a timer of systemd for every check that has an interval, also for none."""


def container(
    name: str,
    image_id: str,
    request: v1.CreateContainerRequest,
    sandbox: v1.RunPodSandboxRequest,
    facts: EngineFacts,
    *,
    infra_id: str,
    user: v1.LinuxContainerUser,
    created_ns: int,
) -> dict[str, Any]:
    """The body of /containers/create. Raises InvalidArgument, FailedPrecondition or Unimplemented for what this
    engine cannot honour."""
    config = request.config
    context = config.linux.security_context
    body: dict[str, Any] = {
        "name": name,
        "pod": request.pod_sandbox_id,
        "image": image_id,
        "entrypoint": list(config.command),
        "command": list(config.args),
        "user": f"{user.uid}:{user.gid}",
        "groups": [str(group) for group in user.supplemental_groups if group != user.gid],
        "env": _environment(config),
        "work_dir": config.working_dir,
        "create_working_dir": True,
        "labels": labels.container_labels(request, created_ns),
        "log_configuration": log_configuration(request),
        "stdin": config.stdin,
        "terminal": config.tty,
        "healthconfig": NO_HEALTH_CHECK,
        # Podman takes some commands (init, systemd) for more than commands.
        "systemd": "false",
        "oci_runtime": sandbox_config.handler(sandbox.runtime_handler, facts),
        "resource_limits": resources.limits(config.linux.resources, facts),
        "oom_score_adj": resources.oom_score_adj(config.linux.resources, facts),
        "devices": mounts.devices(config),
        **namespaces.options(context.namespace_options, sandbox.config, infra_id),
        **mounts.options(config.mounts, sandbox.config.linux.security_context.namespace_options, facts),
        **security.container(context, sandbox.config, user, facts),
    }
    if config.stop_signal != v1.SIGNAL_RUNTIME_DEFAULT:
        body["stop_signal"] = signals.number(config.stop_signal)
    return {key: value for key, value in body.items() if value not in ("", [], {}, False)}


def _environment(config: v1.ContainerConfig) -> dict[str, str]:
    try:
        return {pair.key: pair.value.decode() for pair in config.envs}
    except UnicodeDecodeError as error:
        raise InvalidArgument("config.envs: a value is not UTF-8, which libpod's API cannot carry") from error
