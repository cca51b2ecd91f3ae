"""An engine's networks, and sandboxes on them, for the tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig, NetworkSettings
from runtimes.native.database import Database
from runtimes.native.locks import Locks
from runtimes.native.network import SCHEMA, Attachment, Networks, namespaces
from runtimes.native.network.names import EngineNames
from runtimes.native.places import Places


@dataclass(frozen=True)
class Sandbox:
    id: str
    netns: Path
    attachment: Attachment

    @property
    def ip(self) -> str:
        return self.attachment.ip


class Engine:
    """One engine in one process. Two of the same directory stand for two processes."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        network = NetworkSettings(**{"subnet": "10.99.0.0/24", "pool": "10.98.0.0/16", **settings})
        self.config = NativeConfig(root=directory / "root", run=directory / "run", network=network)
        self.places = Places.of(self.config)
        self.names = EngineNames(self.places.root)
        self.database = Database(self.places.database, [SCHEMA])
        self.locks = Locks(self.places.locks)
        self.networks = Networks(self.config, self.places, self.database, self.locks)
        self._numbers = itertools.count(1)

    async def sandbox(self, sandbox_id: str = "", **config: Any) -> Sandbox:
        """``config`` are the fields of a PodSandboxConfig."""
        sandbox_id = sandbox_id or f"sandbox-{next(self._numbers)}"
        directory = self.places.namespaces(sandbox_id)
        made = await namespaces.create(("net",), directory)
        try:
            attached = await self.networks.attach(sandbox_id, v1.PodSandboxConfig(**config), netns=made["net"])
        except BaseException:
            namespaces.remove(directory)
            raise
        return Sandbox(sandbox_id, made["net"], attached)

    async def detach(self, sandbox: Sandbox) -> None:
        await self.networks.detach(sandbox.id)

    async def close(self) -> None:
        """As a process ends: what is attached stays."""
        await self.networks.close()
        self.locks.close()
        self.database.close()


@asynccontextmanager
async def engine(directory: Path, **settings: Any) -> AsyncIterator[Engine]:
    """An engine, and at the end nothing of it: neither links, nor namespaces."""
    made = Engine(directory, **settings)
    try:
        yield made
    finally:
        await made.networks.recover(set)
        await made.close()
        for each in made.places.namespaces("any").parent.glob("*"):
            namespaces.remove(each)


def port(container_port: int, host_port: int, host_ip: str = "", protocol: v1.Protocol = v1.TCP) -> v1.PortMapping:
    return v1.PortMapping(container_port=container_port, host_port=host_port, host_ip=host_ip, protocol=protocol)
