"""Where the network of a sandbox can be entered: the process of its pod's infra container."""

from __future__ import annotations

from cri.errors import FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman.engine import Engine
from runtimes.podman.sandboxes import Sandboxes
from runtimes.shared.port_forward import FindProcess, SandboxProcess


def infra_processes(engine: Engine, sandboxes: Sandboxes) -> FindProcess:
    """How to find the infra container's process of a sandbox."""

    async def find(sandbox_id: str) -> SandboxProcess:
        status, found = await sandboxes.status(sandbox_id)
        if status.state != v1.SANDBOX_READY:
            raise FailedPrecondition(f"sandbox {sandbox_id} is not ready: it has no network to connect to")
        if not engine.is_local:
            raise Unimplemented(
                f"port-forward works only where the engine runs, as it connects inside the sandbox; this one is at "
                f"{engine.address}"
            )
        infra = found["Infra"]
        return SandboxProcess(int(infra["State"]["Pid"]), infra["Id"])

    return find
