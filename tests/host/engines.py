"""Which Docker engine a run uses: the one that answers already, else a private one while a `with` lasts."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import docker
import docker.errors

from tests.host import ready
from tests.host.dockerd import private_docker
from tests.host.errors import EngineError, Unavailable
from tests.host.images import BUSYBOX, docker_archive

SOCKETS = ("/var/run/docker.sock",)
"""Where an engine is looked for when DOCKER_HOST is not set; a rootless one is in XDG_RUNTIME_DIR."""


class DockerEngine(Protocol):
    """What a test may ask of the engine that it was given."""

    @property
    def private(self) -> bool:
        """Whether the engine is ours alone. Only then may it be stopped."""

    @property
    def address(self) -> str:
        """What goes into DOCKER_HOST."""

    def client(self, timeout: float = ...) -> docker.DockerClient:
        """An SDK client of the engine, the caller's to close."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def restart(self) -> None: ...


class ExistingDocker:
    """An engine that somebody else runs: used as it is, never stopped."""

    private = False

    def __init__(self, address: str) -> None:
        self.address = address

    def client(self, timeout: float = 60.0) -> docker.DockerClient:
        if self.address == os.environ.get("DOCKER_HOST"):
            return docker.from_env(timeout=int(timeout))
        return docker.DockerClient(base_url=self.address, timeout=int(timeout))

    def start(self) -> None:
        self._refuse("start")

    def stop(self) -> None:
        self._refuse("stop")

    def kill(self) -> None:
        self._refuse("kill")

    def restart(self) -> None:
        self._refuse("restart")

    def _refuse(self, verb: str) -> None:
        raise EngineError(f"will not {verb} the engine at {self.address}: it is not ours (use private_docker_engine)")


def running_docker() -> ExistingDocker | None:
    """The engine at DOCKER_HOST, or else at one of the usual sockets, when it answers.

    Raises Unavailable when DOCKER_HOST names an engine that does not answer: no other was asked for.
    """
    named = os.environ.get("DOCKER_HOST")
    if named:
        if _answers(ExistingDocker(named)):
            return ExistingDocker(named)
        raise Unavailable(f"DOCKER_HOST={named} does not answer: start that engine, or unset DOCKER_HOST")
    sockets = [Path(path) for path in SOCKETS]
    if runtime_dir := os.environ.get("XDG_RUNTIME_DIR"):
        sockets.append(Path(runtime_dir, "docker.sock"))
    candidates = (ExistingDocker(f"unix://{path}") for path in sockets if path.is_socket())
    return next((engine for engine in candidates if _answers(engine)), None)


@contextlib.contextmanager
def docker_engine() -> Iterator[DockerEngine]:
    """The engine that runs on this host, or a private one; with a busybox image, which goes at the end.

    Raises Unavailable when neither can be had, EngineError when the private one does not start.
    """
    with contextlib.ExitStack() as stack:
        engine: DockerEngine = running_docker() or stack.enter_context(private_docker())
        stack.enter_context(busybox(engine))
        yield engine


@contextlib.contextmanager
def busybox(engine: DockerEngine) -> Iterator[str]:
    """The reference of a busybox image in the engine: one that was there stays, ours goes."""
    with contextlib.closing(engine.client()) as client:
        try:
            client.images.get(BUSYBOX)
        except docker.errors.ImageNotFound:
            client.images.load(docker_archive(BUSYBOX))
        else:
            yield BUSYBOX
            return
    try:
        yield BUSYBOX
    finally:
        if not engine.private:
            with contextlib.closing(engine.client()) as client:
                client.images.remove(BUSYBOX, force=True)


def _answers(engine: ExistingDocker) -> bool:
    scheme, _, path = engine.address.partition("://")
    if scheme == "unix":
        return ready.answers(ready.UnixConnection(Path(path), timeout=5.0), "/_ping")
    try:
        with contextlib.closing(engine.client(timeout=5)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False


def docker_folder(engine: DockerEngine, container_id: str) -> Path:
    """Where Docker keeps a container, its record and what it mounts for it."""
    with contextlib.closing(engine.client()) as client:
        return Path(client.info()["DockerRootDir"], "containers", container_id)


def lose_shm(engine: DockerEngine, container_id: str) -> None:
    """Take away what others mount that share IPC with a container, which goes on."""
    shm = docker_folder(engine, container_id) / "mounts" / "shm"
    subprocess.run(["umount", shm], check=True)
    shm.rmdir()
