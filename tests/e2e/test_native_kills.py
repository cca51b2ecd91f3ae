"""Sandboxes and containers come and go on the native engine, eight at a time, while the two servers that share it are
killed again and again, at whatever instruction they are: nothing of them is left, and nothing runs twice.

``MINICRI_NATIVE_LIVES=1000 pytest tests/e2e/test_native_kills.py`` is the long form.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest

import cri
from cri.errors import AlreadyExists, CRIError, FailedPrecondition
from cri.logs import read
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.network.names import EngineNames
from tests.conformance.kit import eventually
from tests.e2e.engines import Configured
from tests.host import native
from tests.host.fixtures import missing
from tests.host.leaks import Snapshot
from tests.orchestrator.commands import PATIENCE, environment
from tests.orchestrator.forked import Forked

LIVES = int(os.environ.get("MINICRI_NATIVE_LIVES", "24"))
AT_ONCE = 8
SECONDS = (0.3, 2.0)
"""How long a server lives, from its first answer on."""
SETTLE = 10.0
TABLES = ("sandboxes", "containers", "snapshots", "arrivals", "networks", "attachments", "address_leases")


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """An engine for this test alone: what is left in it is counted, not searched for."""
    with missing(request, "native"), native.private_native() as options:
        yield options


class Server:
    """``minicri serve``, which is killed while ``killed`` lasts."""

    def __init__(self, configured: Configured, name: str) -> None:
        self._configured = configured
        self._log = configured.folder / f"{name}.log"
        self.address = f"unix://{configured.folder}/{name}.sock"
        self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.end(signal.SIGKILL)
        if kind is not None:
            print(f"{self.address} said:\n{self.said()}")

    async def start(self) -> None:
        process = self._process = self._spawn()
        async with asyncio.timeout(PATIENCE), cri.connect(self.address) as client:
            while True:
                assert process.poll() is None, self.said()
                with suppress(CRIError):
                    await client.version(v1.VersionRequest())
                    return
                await asyncio.sleep(0.05)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return Forked(
                ["serve", "--config", str(self._configured.file), "--listen", self.address],
                cwd=self._configured.folder,
                env=environment(self._configured.folder, **self._configured.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)

    @asynccontextmanager
    async def killed(self, seed: int) -> AsyncIterator[None]:
        """A server that does not come back ends the block: nobody would answer those in it."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill(random.Random(seed), over))
            yield
            over.set()

    async def _kill(self, chance: random.Random, over: asyncio.Event) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(*SECONDS)):
                    await over.wait()
                return
            self.end(signal.SIGKILL)
            self.kills += 1
            await self.start()

    def said(self) -> str:
        return self._log.read_text()


class Either:
    """The calls of CRI, each to any of several clients."""

    def __init__(self, clients: Sequence[Runtime]) -> None:
        self._clients = clients

    def __getattr__(self, name: str) -> Any:
        return lambda request: getattr(random.choice(self._clients), name)(request)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="minicri") as path:
        yield Path(path)


async def stubbornly(call: Any, request: Any) -> Any:
    """Ask until there is an answer; what was done already when it is asked again is done."""
    while True:
        try:
            return await call(request)
        except CRIError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(0.05)


async def life(runtime: Either, number: int, logs: Path) -> None:
    """A sandbox and a container, from beginning to end, over as many calls as it takes."""
    metadata = v1.PodSandboxMetadata(name=f"life-{number}", namespace="kills", uid=f"uid-{number}")
    config = v1.PodSandboxConfig(metadata=metadata, log_directory=str(logs))
    if number % 3:
        config.linux.security_context.namespace_options.pid = v1.CONTAINER
    sandbox_id = await made(lambda: stubbornly(runtime.run_pod_sandbox, v1.RunPodSandboxRequest(config=config)))
    container = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="c"),
        image=v1.ImageSpec(image="busybox"),
        command=["sh", "-c", "echo ran; exec sleep 86400"],
        log_path=f"{number}.log",
    )
    container.linux.security_context.namespace_options.CopyFrom(config.linux.security_context.namespace_options)
    request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=container, sandbox_config=config)
    with suppress(AlreadyExists):
        await stubbornly(runtime.create_container, request)
    listed = await stubbornly(
        runtime.list_containers, v1.ListContainersRequest(filter=v1.ContainerFilter(pod_sandbox_id=sandbox_id))
    )
    (found,) = listed.containers
    try:
        await stubbornly(runtime.start_container, v1.StartContainerRequest(container_id=found.id))
    except FailedPrecondition as error:
        # A call whose answer was lost has started it already, or has failed to, being cut short.
        if not error.message.endswith("not created"):
            raise
    if number % 2:
        await stubbornly(runtime.stop_container, v1.StopContainerRequest(container_id=found.id))
        await stubbornly(runtime.remove_container, v1.RemoveContainerRequest(container_id=found.id))
    await stubbornly(runtime.stop_pod_sandbox, v1.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))
    await stubbornly(runtime.remove_pod_sandbox, v1.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
    # One that was stopped at once, or whose start was cut short, may not have come to say it.
    assert texts(logs / f"{number}.log") in ([], [b"ran"])


def texts(log: Path) -> list[bytes]:
    return [record.text for record in read(log)] if log.exists() else []


async def made(make: Any) -> str:
    try:
        return str((await make()).pod_sandbox_id)
    except AlreadyExists as error:
        return str(error.details["pod_sandbox_id"])


def left(options: dict[str, Any]) -> list[str]:
    """What the engine has on the host beyond its images."""
    config = NativeConfig.model_validate(options)
    places = [config.run / name for name in ("containers", "sandboxes", "ns", "exits", "oci", "mapped")]
    places += [config.root / "snapshots", config.root / "images" / "arrivals"]
    found = [str(each) for place in places if place.exists() for each in place.iterdir()]
    names = EngineNames(config.root)
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True, timeout=30).stdout
    found += [line for line in tables.splitlines() if names.table in line]
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    found += [link for link in links if names.is_link(link) or link == config.network.bridge]
    found += [f"{table}: {number} rows" for table, number in rows(config.root / "state.db") if number]
    marks = (str(config.run.parent), config.cgroup_parent)
    lines = [line for line in Snapshot.take().lines() if any(mark in line for mark in marks)]
    # The programs of the engine itself stay mounted, as its files stay.
    return found + [line for line in lines if str(config.run / "bin") not in line]


def rows(state: Path) -> list[tuple[str, int]]:
    """How many things of a kind the engine has noted."""
    with closing(sqlite3.connect(state)) as database:
        return [(name, database.execute(f"select count(*) from {name}").fetchone()[0]) for name in TABLES]


def stays(options: dict[str, Any]) -> list[str]:
    """What is ``left`` for good: a program that a killed server had started may be about to end."""
    deadline = time.monotonic() + SETTLE
    while (found := left(options)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.timeout(120 + 3 * LIVES)
async def test_no_kill_of_a_server_leaves_anything_behind(own: dict[str, Any]) -> None:
    seed = random.randrange(10**6)
    with folder() as path:
        configured = Configured(path, "native", own)
        with Server(configured, "one") as one, Server(configured, "other") as other:
            await asyncio.gather(one.start(), other.start())
            numbers = iter(range(LIVES))
            async with cri.connect(one.address) as first, cri.connect(other.address) as second:

                async def worker() -> None:
                    for number in numbers:
                        try:
                            await life(Either([first, second]), number, path / "logs")
                        except BaseException as error:
                            error.add_note(f"in life {number} of {LIVES}, after {one.kills} and {other.kills} kills")
                            raise

                async with one.killed(seed), other.killed(seed + 1), asyncio.TaskGroup() as group:
                    for _ in range(AT_ONCE):
                        group.create_task(worker())
            for server in (one, other):
                await asyncio.to_thread(server.end, signal.SIGTERM)
                assert "Traceback" not in server.said(), (seed, server.said())
            print(f"seed {seed}: {LIVES} lives, {one.kills + other.kills} kills")
    with suppress(AssertionError):  # the last programs may be at their end
        await eventually(lambda: asyncio.to_thread(lambda: not left(own)))
    assert await asyncio.to_thread(native.contents, own) == [], seed
    assert await asyncio.to_thread(stays, own) == [], seed
