"""Which namespaces a container joins. Pure.

The sandbox decides about network and ipc, for all its containers alike; about pid each container decides.
"""

from __future__ import annotations

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.docker import sandbox_config
from runtimes.docker.features import EngineFacts

_FIELD = "config.linux.security_context.namespace_options"


def options(request: v1.CreateContainerRequest, sandbox: v1.PodSandboxConfig, facts: EngineFacts) -> dict[str, str]:
    """The modes of HostConfig. Raises InvalidArgument for the host's namespace in a sandbox that has its own."""
    wanted = request.config.linux.security_context.namespace_options
    given = sandbox.linux.security_context.namespace_options
    shared = f"container:{request.pod_sandbox_id}"
    for field in ("network", "ipc"):
        if getattr(wanted, field) == v1.NODE and getattr(given, field) != v1.NODE:
            raise InvalidArgument(f"{_FIELD}.{field}: NODE is not possible in a sandbox that is not on NODE itself")
    return {
        "NetworkMode": shared,
        # What is the host's cannot be shared by the pause container, as Docker sees it.
        "IpcMode": "host" if given.ipc == v1.NODE else shared,
        "PidMode": _pid(wanted, shared),
        "UsernsMode": sandbox_config.userns_mode(wanted, facts),
    }


def _pid(wanted: v1.NamespaceOption, shared: str) -> str:
    if wanted.pid == v1.NODE:
        return "host"
    if wanted.pid == v1.TARGET:
        return f"container:{wanted.target_id}"
    return shared if wanted.pid == v1.POD else ""
