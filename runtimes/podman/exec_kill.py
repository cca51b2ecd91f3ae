"""Killing a command of an engine whose processes cannot be reached from here."""

from __future__ import annotations

import json

from runtimes.podman.engine import Engine
from runtimes.shared import exec_kill
from runtimes.shared.output_pieces import output_pieces


async def kill_inside(engine: Engine, container_id: str, mark: str) -> None:
    """SIGKILL all processes with ``mark`` in their environment. Raises FailedPrecondition as ``exec_kill.check``."""
    body = {"AttachStdout": True, "AttachStderr": True, "User": "0", "Cmd": exec_kill.killer(mark)}
    made = await engine.post(f"/containers/{container_id}/exec", body=body)
    start = json.dumps({"Detach": False, "Tty": False}).encode()
    async with engine.stream("POST", f"/exec/{made['Id']}/start", body=start, upgrade=True) as answer:
        said = b"".join([piece async for _, piece in output_pieces(answer, tty=False)])
    exec_kill.check(container_id, said)
