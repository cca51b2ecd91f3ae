"""The few calls that the tests of this package make again and again, a line each."""

from __future__ import annotations

from pathlib import Path

import docker

from tests.host.images import BUSYBOX
from tests.runtimes.calls import container_status, create, listed, read_until, remove, start, status, stop

__all__ = [
    "container_status",
    "create",
    "listed",
    "output",
    "pause_process",
    "read_until",
    "remove",
    "start",
    "status",
    "stop",
]


def output(client: docker.DockerClient, sandbox_id: str, *command: str) -> str:
    """What a command in the network of a sandbox prints."""
    written: bytes = client.containers.run(
        BUSYBOX, list(command), network_mode=f"container:{sandbox_id}", remove=True, stderr=True
    )
    return written.decode()


def pause_process(client: docker.DockerClient, sandbox_id: str) -> Path:
    """The /proc directory of the sandbox's process."""
    return Path("/proc", str(client.containers.get(sandbox_id).attrs["State"]["Pid"]))
