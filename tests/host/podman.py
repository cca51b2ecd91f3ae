"""A private Podman service: own storage, state, socket, networks and configuration files.

Podman keeps a few things at places that it cannot be told to leave alone; `libpod` knows them and takes them away. Its
networks go through netavark, which publishes ports with rules in the host's firewall.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from tests.host import libpod, links, ready
from tests.host.errors import EngineError, Unavailable
from tests.host.names import MARK
from tests.host.registry import PORTS
from tests.host.slot import Slot, base_lock, claim

START_TIMEOUT = 40.0
STOP_TIMEOUT = 20.0
"""Seconds."""

HELPERS = Path("/usr/lib/podman")
"""Where Debian puts netavark and aardvark-dns."""

_REMOTE = ("CONTAINER_HOST", "CONTAINER_CONNECTION")

_ULIMITS = ("nofile=20000:20000", "nproc=16384:16384")
"""Below what any host allows: Podman's own defaults cannot be had without CAP_SYS_RESOURCE."""


class PrivatePodman:
    """A Podman service of our own, in a slot that somebody else claims and releases. Not yet started when made."""

    private = True

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self._slot.path / "podman.sock"

    @property
    def address(self) -> str:
        """What goes into CONTAINER_HOST. It stays the same over restarts."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """The log of every service of this engine, one after the other."""
        return self._slot.path / "podman.log"

    @property
    def pid(self) -> int:
        """The process id of the service. Raises EngineError while it is stopped."""
        if self._process is None:
            raise EngineError("the podman service is stopped")
        return self._process.pid

    def start(self) -> None:
        """Start the service on the data of the last time, and return once it answers.

        Raises EngineError with the end of the log, and leaves nothing running, when it ends or is late.
        """
        if self._process is not None:
            return
        # Of no other use than to be seen: Podman's own bridges are there only while they are used, and the slot's
        # addresses would look free.
        links.make_bridge(self._slot)
        with base_lock():
            libpod.prepare(self._slot)
        self._configure()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command("system", "service", "--time=0", self.address),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self._slot.path,  # where monitors leave a file when a container runs out of memory
                start_new_session=True,
            )
        try:
            ready.wait_for_socket(self._process, self.socket, self.log, START_TIMEOUT, path="/libpod/_ping")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the service in order (SIGTERM). Its containers go on under their monitors."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise EngineError(f"podman did not stop in {STOP_TIMEOUT:.0f} s\n{ready.tail(self.log)}") from error
        self._process = None

    def kill(self) -> None:
        """End the service as a crash would (SIGKILL). Its containers go on under their monitors."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_TIMEOUT)
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a podman command needs to work on this engine's data; see `command`."""
        path = self._slot.path
        # With one of these podman would ask a service instead of being one.
        inherited = {key: value for key, value in self._slot.environment.items() if key not in _REMOTE}
        return {
            **inherited,
            "PATH": f"{path / 'bin'}:{os.environ.get('PATH', '')}",
            "CONTAINERS_CONF": str(path / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(path / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(path / "registries.conf"),
        }

    def command(self, *arguments: str) -> list[str]:
        """The podman command on this engine's data."""
        path = self._slot.path / libpod.DIRECTORY
        places = ("--root", str(path / "root"), "--runroot", str(path / "run"), "--tmpdir", str(path / "tmp"))
        return [_program("podman"), *places, *arguments]

    @property
    def _network(self) -> str:
        """The default network, and its bridge."""
        return f"{self._slot.bridge}p"

    def _configure(self) -> None:
        path = self._slot.path
        self._wrap_netavark()
        self._wrap_dpkg()
        for name, content in (
            ("containers.conf", self._containers_conf()),
            ("storage.conf", self._storage_conf()),
            ("registries.conf", _registries_conf()),
        ):
            (path / name).write_text(tomli_w.dumps(content))
        network = path / libpod.DIRECTORY / "networks" / f"{self._network}.json"
        network.parent.mkdir(exist_ok=True)
        network.write_text(json.dumps(self._default_network()))

    def _wrap_netavark(self) -> None:
        """All engines of root share one name server, which netavark keeps in a directory that Podman names. Ours has
        one of its own, so that no other engine's end takes it away."""
        directory = self._slot.path / libpod.DIRECTORY / "names"
        directory.mkdir(exist_ok=True)
        wrapper = self._slot.path / "bin" / "netavark"
        wrapper.parent.mkdir(exist_ok=True)
        lines = (
            "#!/bin/sh",
            "for each do",
            "  shift",
            f'  [ "$before" = --config ] && each={shlex.quote(str(directory))}',
            "  before=$each",
            '  set -- "$@" "$each"',
            "done",
            f'exec {HELPERS / "netavark"} "$@"',
        )
        wrapper.write_text("\n".join(lines) + "\n")
        wrapper.chmod(0o755)

    def _wrap_dpkg(self) -> None:
        """Podman has dpkg look through the lists of all packages for the names of three, whenever it is asked what it
        is. Each of two thousand tests does ask, and none wants to know that."""
        wrapper = self._slot.path / "bin" / "dpkg-query"
        if not wrapper.is_symlink():
            wrapper.symlink_to("/bin/true")

    def _containers_conf(self) -> dict[str, Any]:
        path = self._slot.path / libpod.DIRECTORY
        upper_half = list(self._slot.network.subnets())[1]
        return {
            "containers": {"default_ulimits": list(_ULIMITS)},
            "engine": {
                "cgroup_manager": "cgroupfs",
                "events_logger": "file",
                # The other kind is one segment of shared memory for all engines of root.
                "lock_type": "file",
                "runtime": "crun",
                "image_copy_tmp_dir": str(path / "tmp"),
                "helper_binaries_dir": [str(self._slot.path / "bin"), str(HELPERS)],
                "conmon_env_vars": [f"PATH={os.environ.get('PATH', '')}", f"{MARK}={self._slot.path}"],
            },
            "network": {
                "network_backend": "netavark",
                "network_config_dir": str(path / "networks"),
                # Its name is part of the names in the firewall, so it is not Podman's usual one.
                "default_network": self._network,
                "default_subnet_pools": [{"base": str(upper_half), "size": 24}],
            },
        }

    def _storage_conf(self) -> dict[str, Any]:
        path = self._slot.path / libpod.DIRECTORY
        return {"storage": {"driver": "overlay", "graphroot": str(path / "root"), "runroot": str(path / "run")}}

    def _default_network(self) -> dict[str, Any]:
        subnet = list(self._slot.network.subnets(new_prefix=20))[1]
        return {
            "name": self._network,
            "id": f"{self._slot.number:064x}",
            "driver": "bridge",
            "network_interface": self._network,
            "created": "2024-01-01T00:00:00Z",
            "subnets": [{"subnet": str(subnet), "gateway": str(subnet[1])}],
            "ipv6_enabled": False,
            "internal": False,
            "dns_enabled": False,
            "ipam_options": {"driver": "host-local"},
        }


@contextlib.contextmanager
def private_podman() -> Iterator[PrivatePodman]:
    """A started private service, removed with all that it holds at the end.

    Raises Unavailable when this host cannot have one, EngineError when it does not start.
    """
    for program in ("podman", "crun", "conmon"):
        _program(program)
    for helper in ("netavark", "aardvark-dns"):
        if not (HELPERS / helper).exists():
            raise Unavailable(f"no {helper} on this host: install the package {helper}")
    slot = claim()
    try:
        engine = PrivatePodman(slot)
        engine.start()
        try:
            yield engine
        finally:
            engine.kill()
    finally:
        slot.release()


def _registries_conf() -> dict[str, Any]:
    """The registries of the tests are taken without TLS."""
    insecure = [
        {"location": f"{host}:{port}", "insecure": True} for host in ("127.0.0.1", "localhost") for port in PORTS
    ]
    return {"unqualified-search-registries": ["docker.io"], "registry": insecure}


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise Unavailable(f"no {name} on this host: install the package {name}")
    return found
