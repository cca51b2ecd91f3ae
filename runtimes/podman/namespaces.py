"""Which namespaces a container joins. Pure.

The sandbox decides about network and ipc, for all its containers alike; about pid each container decides.
"""

from __future__ import annotations

from typing import Any

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.podman import users

_FIELD = "config.linux.security_context.namespace_options"


def options(wanted: v1.NamespaceOption, sandbox: v1.PodSandboxConfig, infra_id: str) -> dict[str, Any]:
    """The namespaces of a spec that the pod does not give by itself. Raises InvalidArgument for the host's namespace in
    a sandbox that has its own."""
    given = sandbox.linux.security_context.namespace_options
    for field in ("network", "ipc"):
        if getattr(wanted, field) == v1.NODE and getattr(given, field) != v1.NODE:
            raise InvalidArgument(f"{_FIELD}.{field}: NODE is not possible in a sandbox that is not on NODE itself")
    users.check_container(wanted, given)
    found = {"pidns": _pid(wanted, infra_id)}
    if given.ipc == v1.NODE:
        found["ipcns"] = {"nsmode": "host"}
    return found


def _pid(wanted: v1.NamespaceOption, infra_id: str) -> dict[str, str]:
    if wanted.pid == v1.NODE:
        return {"nsmode": "host"}
    if wanted.pid == v1.TARGET:
        return {"nsmode": "container", "value": wanted.target_id}
    return {"nsmode": "container", "value": infra_id} if wanted.pid == v1.POD else {"nsmode": "private"}
