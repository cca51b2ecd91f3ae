"""The container that holds a sandbox's process namespace: one small program, and nothing else. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.native.oci import cgroup, namespaces, security, users
from runtimes.native.oci.facts import OCI_VERSION, HostFacts, SandboxFacts
from runtimes.native.oci.seccomp import filters
from runtimes.shared import pause

OOM_SCORE_ADJ = -998
"""It goes last, as in every CRI runtime: with it all processes of the sandbox would go."""

_THREADS = 64
"""Processes and threads in its cgroup: it is one, but a runtime written in Go needs some until it is there."""

_LIMITS = {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": _THREADS}}

_MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro", "nosuid", "noexec", "nodev"]},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "noexec", "mode=755", "size=64k"],
    },
]
"""The program needs none, but runtimes do."""

_NOBODY = int(pause.USER.partition(":")[0])
_ROOT = 0


def init_spec(sandbox: SandboxFacts, container_id: str, rootfs: Path, host: HostFacts) -> dict[str, Any]:
    """The ``config.json``. ``rootfs`` has the program at ``pause.PROGRAM``. It has no right at all."""
    # With few users of its own a sandbox has no nobody; its root is somebody else's nobody, and has no capability here.
    user = _NOBODY if users.is_mapped(_NOBODY, sandbox.config.linux.security_context.namespace_options) else _ROOT
    spec: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": {
            "user": {"uid": user, "gid": user},
            "args": [pause.PROGRAM],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": True,
            "oomScoreAdj": max(OOM_SCORE_ADJ, host.process.oom_score_adj_floor),
        },
        "root": {"path": str(rootfs), "readonly": True},
        "mounts": _MOUNTS,
        "linux": {
            "namespaces": [*namespaces.of_sandbox(sandbox), {"type": "mount"}, {"type": "pid"}],
            **users.mappings(sandbox.config.linux.security_context.namespace_options),
            **cgroup.places(sandbox.cgroup, container_id, _LIMITS, host),
            "rootfsPropagation": "rprivate",
            # Who may trace it sees its files, too.
            "maskedPaths": list(security.MASKED_PATHS),
            "readonlyPaths": list(security.READONLY_PATHS),
        },
    }
    if host.seccomp and host.seccomp_profile is not None:
        spec["linux"]["seccomp"] = filters(host.seccomp_profile, (), host)
    security.label(spec, v1.LinuxContainerSecurityContext(), sandbox, host)
    return spec
