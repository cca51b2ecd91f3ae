"""A private Docker engine: own data, socket, bridge and cgroup, no hand on the host's firewall and sysctls.

Ports are published by docker-proxy alone and containers have no route beyond the host, which is all that a
run without a registry asks for. In return two private engines never disturb each other, or one of the user's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker

from tests.host import facts, hugetlb, links, processes, ready
from tests.host.errors import EngineError, Unavailable
from tests.host.slot import Slot, base_lock, claim

STOP_TIMEOUT = 40.0
"""Seconds. dockerd itself gives containers 15 s to stop."""
START_TIMEOUT = 120.0
"""Seconds. One that was killed first takes away the networks of all that ran, one after the other."""

OTHER = "TEST_DOCKERD"
"""Environment variable with the path of another dockerd than the host's; what it starts (containerd, its shim, runc,
docker-proxy) is looked for beside it first."""


class PrivateDocker:
    """A dockerd of our own, in a slot that somebody else claims and releases. Not yet started when made."""

    private = True

    def __init__(self, slot: Slot, *, live_restore: bool = False, experimental: bool = False) -> None:
        self._slot = slot
        self._live_restore = live_restore
        self._experimental = experimental
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self._slot.path / "docker.sock"

    @property
    def address(self) -> str:
        """What goes into DOCKER_HOST. It stays the same over restarts."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """The log of every dockerd of this engine, one after the other."""
        return self._slot.path / "dockerd.log"

    @property
    def pid(self) -> int:
        """The process id of dockerd. Raises EngineError while it is stopped."""
        if self._process is None:
            raise EngineError("dockerd is stopped")
        return self._process.pid

    def client(self, timeout: float = 60.0) -> docker.DockerClient:
        """An SDK client of this engine, the caller's to close."""
        return docker.DockerClient(base_url=self.address, timeout=int(timeout))

    def start(self) -> None:
        """Start dockerd on the data of the last time, and return once it answers.

        Raises EngineError with the end of the log, and leaves nothing running, when it ends or is late.
        """
        if self._process is not None:
            return
        links.make_bridge(self._slot)
        with base_lock():
            hugetlb.require_for(self._slot.path / "docker")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._slot.environment, "PATH": _search()},
                start_new_session=True,
            )
        try:
            ready.wait_for_socket(self._process, self.socket, self.log, START_TIMEOUT, path="/_ping")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop dockerd in order (SIGTERM). Its containers stop too, each in its own stop timeout (10 s unless
        it says otherwise), unless the engine was made with `live_restore`."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise EngineError(f"dockerd did not stop in {STOP_TIMEOUT:.0f} s\n{ready.tail(self.log)}") from error
        self._process = None

    def kill(self) -> None:
        """End dockerd as a crash would (SIGKILL). Its containers go on under their shims."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_TIMEOUT)
        self._process = None
        self._forget_dead_containerd()

    def _forget_dead_containerd(self) -> None:
        """It dies with dockerd. Where init is slow to reap it, the next dockerd would take it for alive."""
        folder = self._slot.path / "run/containerd"
        pidfile = folder / "containerd.pid"
        if pidfile.exists():
            configuration = str(folder / "containerd.toml")
            processes.kill(int(pidfile.read_text()), STOP_TIMEOUT, lambda pid: configuration in processes.command(pid))
            pidfile.unlink()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _command(self) -> list[str]:
        config = self._slot.path / "dockerd.json"
        config.write_text(json.dumps(self._config()))
        return [_dockerd(), "--config-file", str(config)]

    def _config(self) -> dict[str, object]:
        path, network = self._slot.path, self._slot.network
        upper_half = list(network.subnets())[1]
        made: dict[str, object] = {
            "data-root": str(path / "docker"),
            "exec-root": str(path / "run"),
            "pidfile": str(path / "dockerd.pid"),
            "hosts": [self.address],
            "bridge": self._slot.bridge,
            "default-address-pools": [{"base": str(upper_half), "size": 24}],
            "iptables": False,
            "ip-forward": False,
            "ip-masq": False,
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{self._slot.cgroup}",
            "insecure-registries": ["127.0.0.0/8", "localhost:5000"],
            "live-restore": self._live_restore,
            "experimental": self._experimental,
            "shutdown-timeout": 5,
        }
        if _lowers_its_oom_score():
            made["oom-score-adjust"] = -500 if facts.may_lower_oom_score() else 0
        return made


@contextlib.contextmanager
def private_docker(*, live_restore: bool = False, experimental: bool = False) -> Iterator[PrivateDocker]:
    """A started private engine, removed with all that it holds at the end.

    Raises Unavailable when this host cannot have one, EngineError when it does not start.
    """
    _dockerd()
    slot = claim()
    try:
        engine = PrivateDocker(slot, live_restore=live_restore, experimental=experimental)
        engine.start()
        try:
            yield engine
        finally:
            engine.kill()
    finally:
        slot.release()


def _dockerd() -> str:
    other = os.environ.get(OTHER)
    found = shutil.which(other or "dockerd", path=_search())
    if found is None:
        hint = f"{OTHER}={other} is no program" if other else "no dockerd on this host: install the package docker.io"
        raise Unavailable(hint)
    return found


def _lowers_its_oom_score() -> bool:
    """Whether this dockerd lowers the score by itself and has to be told; newer ones leave it alone."""
    told = subprocess.run([_dockerd(), "--help"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return b"--oom-score-adjust" in told.stdout


def _search() -> str:
    """PATH for dockerd and what it starts."""
    other = os.environ.get(OTHER)
    beside = [str(Path(other).parent)] if other else []
    return os.pathsep.join([*beside, os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
