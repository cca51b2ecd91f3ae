"""Where the network of a sandbox can be entered: its pause process."""

from __future__ import annotations

from cri.errors import FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.engine import Engine
from runtimes.docker.sandboxes import Sandboxes
from runtimes.shared.port_forward import FindProcess, SandboxProcess


def pause_processes(engine: Engine, sandboxes: Sandboxes) -> FindProcess:
    """How to find the pause process of a sandbox."""

    async def find(sandbox_id: str) -> SandboxProcess:
        status, found = await sandboxes.status(sandbox_id)
        if status.state != v1.SANDBOX_READY:
            raise FailedPrecondition(f"sandbox {sandbox_id} is not ready: it has no network to connect to")
        if not engine.is_local:
            raise Unimplemented(
                f"port-forward works only where the engine runs, as it connects inside the sandbox; this one is at "
                f"{engine.address}"
            )
        return SandboxProcess(int(found["State"]["Pid"]), sandbox_id)

    return find
