"""CRI's ContainerConfig as a container config of Docker's API. Pure."""

from __future__ import annotations

from typing import Any

from cri.errors import Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker import image_status, sandbox_config
from runtimes.docker.features import EngineFacts
from runtimes.shared import labels

_PROPAGATION = {
    v1.PROPAGATION_PRIVATE: "rprivate",
    v1.PROPAGATION_HOST_TO_CONTAINER: "rslave",
    v1.PROPAGATION_BIDIRECTIONAL: "rshared",
}


def container(
    request: v1.CreateContainerRequest,
    sandbox: v1.RunPodSandboxRequest,
    facts: EngineFacts,
    *,
    created_ns: int,
    default_cgroup_parent: str = "",
) -> dict[str, Any]:
    """The body of /containers/create."""
    config = request.config
    parent = sandbox.config.linux.cgroup_parent or default_cgroup_parent
    body: dict[str, Any] = {
        "Image": image_status.engine_name(config.image.image, field="config.image.image"),
        "Env": [f"{pair.key}={pair.value.decode('utf-8', 'surrogateescape')}" for pair in config.envs],
        "WorkingDir": config.working_dir,
        "Labels": labels.container_labels(request, created_ns),
        "OpenStdin": config.stdin,
        "StdinOnce": config.stdin_once,
        "Tty": config.tty,
        "HostConfig": {
            "NetworkMode": f"container:{request.pod_sandbox_id}",
            "IpcMode": f"container:{request.pod_sandbox_id}",
            "CgroupParent": sandbox_config.cgroup_parent(parent, facts),
            "Runtime": sandbox_config.handler(sandbox.runtime_handler, facts),
            "Mounts": [_mount(mount, facts) for mount in config.mounts],
            **_resources(config.linux.resources),
        },
    }
    if config.command:
        body["Entrypoint"] = list(config.command)
    if config.args:
        body["Cmd"] = list(config.args)
    if config.stop_signal != v1.SIGNAL_RUNTIME_DEFAULT:
        body["StopSignal"] = v1.Signal.Name(config.stop_signal).removeprefix("SIGNAL_")
    return body


def _mount(mount: v1.Mount, facts: EngineFacts) -> dict[str, Any]:
    if mount.image.image:
        raise Unimplemented(f"config.mounts: {mount.container_path!r} is an image, which this engine cannot mount")
    if mount.recursive_read_only:
        if not facts.features.recursive_read_only:
            raise Unimplemented(
                f"config.mounts: {mount.container_path!r} is to be read-only with all below it, which needs Docker 25 "
                f"and Linux 5.12; this is Docker {facts.engine_version} on Linux {facts.kernel}"
            )
        options = {"ReadOnlyForceRecursive": True}
    else:
        # From API 1.44 on a read-only mount is recursive where it can be; CRI asks for that by name only.
        options = {"ReadOnlyNonRecursive": True} if mount.readonly and facts.features.recursive_read_only else {}
    return {
        "Type": "bind",
        "Source": mount.host_path,
        "Target": mount.container_path,
        "ReadOnly": mount.readonly,
        "BindOptions": {"Propagation": _PROPAGATION[mount.propagation], **options},
    }


def _resources(limits: v1.LinuxContainerResources) -> dict[str, Any]:
    return {
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuShares": limits.cpu_shares,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Memory": limits.memory_limit_in_bytes,
    }
