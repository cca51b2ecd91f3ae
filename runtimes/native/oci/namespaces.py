"""Which namespaces a container joins, and which it gets of its own. Pure.

The sandbox decides about network, ipc, uts and users, for all its containers alike; about pid each container decides.
"""

from __future__ import annotations

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import users
from runtimes.native.oci.facts import ContainerRequest, HostFacts, SandboxFacts

_FIELD = "config.linux.security_context.namespace_options"
_OF_SANDBOX = {"user": "user", "net": "network", "ipc": "ipc", "uts": "uts"}
"""The kernel's names and OCI's."""


def of_container(request: ContainerRequest, sandbox: SandboxFacts, host: HostFacts) -> list[dict[str, str]]:
    """``linux.namespaces``. Raises InvalidArgument for what the sandbox cannot give."""
    context = request.config.linux.security_context
    users.check_container(context.namespace_options, sandbox.config.linux.security_context.namespace_options)
    found = [*of_sandbox(sandbox), {"type": "mount"}]
    if pid := _pid(request, sandbox):
        found.append(pid)
    # A privileged container looks after the host's cgroups; and v1 has nothing that it could hide.
    if host.cgroup_v2 and not context.privileged:
        found.append({"type": "cgroup"})
    return found


def of_sandbox(sandbox: SandboxFacts) -> list[dict[str, str]]:
    """Those that all containers of a sandbox join. The users come first, since the others belong to them."""
    return [
        {"type": kind, "path": str(sandbox.namespaces[name])}
        for name, kind in _OF_SANDBOX.items()
        if name in sandbox.namespaces
    ]


def shares_host_pids(options: v1.NamespaceOption, sandbox: SandboxFacts) -> bool:
    """Whether a container sees the host's processes."""
    if options.pid == v1.POD:
        return sandbox.config.linux.security_context.namespace_options.pid == v1.NODE
    return options.pid == v1.NODE


def _pid(request: ContainerRequest, sandbox: SandboxFacts) -> dict[str, str] | None:
    options = request.config.linux.security_context.namespace_options
    if shares_host_pids(options, sandbox):
        return None
    if options.pid == v1.CONTAINER:
        return {"type": "pid"}
    if options.pid == v1.TARGET:
        return {"type": "pid", "path": f"/proc/{request.target_pid}/ns/pid"}
    if "pid" not in sandbox.namespaces:
        raise InvalidArgument(
            f"{_FIELD}.pid: POD is not possible in a sandbox that was not made with it; use CONTAINER"
        )
    return {"type": "pid", "path": str(sandbox.namespaces["pid"])}
