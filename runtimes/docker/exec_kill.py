"""Killing a command of an engine whose processes cannot be reached from here."""

from __future__ import annotations

from runtimes.docker.engine import Engine
from runtimes.shared import exec_kill


async def kill_inside(engine: Engine, container_id: str, mark: str) -> None:
    """SIGKILL all processes with ``mark`` in their environment. Raises FailedPrecondition as ``exec_kill.check``."""
    made = await engine.call(engine.client.exec_create, container_id, exec_kill.killer(mark), user="0")
    said: bytes = await engine.call(engine.client.exec_start, made["Id"])
    exec_kill.check(container_id, said)
