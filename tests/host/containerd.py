"""A private containerd with its CRI plugin: own data, state, socket, bridge, CNI network and images.

It stands beside any other containerd, dockerd's own included. What it needs besides is in it from the start: the
pause image and busybox, imported from memory. Pods have a bridge of the slot's and no route beyond the host.

Ports are published by CNI's portmap, which works with iptables; what does not hang off the slot is in `tests.host.cni`.
It is spoken to in CRI's generated messages, and minicri's own pause program holds its sandboxes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import tomli_w

from cri.v1 import api_pb2 as v1
from runtimes.shared import pause
from tests.host import facts, hugetlb, images, links, ready
from tests.host.errors import EngineError, Unavailable
from tests.host.slot import Slot, base_lock, claim

START_TIMEOUT = 40.0
STOP_TIMEOUT = 20.0
COMMAND_TIMEOUT = 60.0
"""Seconds."""

CNI_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin")
"""Where Debian puts the plugins, and where everybody else does."""
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")

NAMESPACE = "k8s.io"
"""What containerd's CRI plugin calls its own part of containerd."""


class PrivateContainerd:
    """A containerd of our own, in a slot that somebody else claims and releases. Not yet started when made."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self._slot.path / "containerd.sock"

    @property
    def address(self) -> str:
        """The CRI endpoint. It stays the same over restarts."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """The log of every containerd of this engine, one after the other."""
        return self._slot.path / "containerd.log"

    @property
    def bridge(self) -> str:
        """The bridge that the pods are on."""
        return self._slot.bridge

    @property
    def pid(self) -> int:
        """The process id of containerd. Raises EngineError while it is stopped."""
        if self._process is None:
            raise EngineError("containerd is stopped")
        return self._process.pid

    def start(self) -> None:
        """Start containerd on the data of the last time, and return once its CRI answers and has the images.

        Raises EngineError with the end of the log, and leaves nothing running, when it ends or is late.
        """
        if self._process is not None:
            return
        links.make_bridge(self._slot)
        with base_lock():
            hugetlb.require_for(self._slot.path / "containerd")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._slot.environment,
                start_new_session=True,
            )
        try:
            ready.wait_for(self._process, self._answers, self.log, START_TIMEOUT)
            self.load(pause.docker_archive(images.host_architecture()), pause.NAME)
            self.load(images.docker_archive(images.BUSYBOX), images.BUSYBOX)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop containerd in order (SIGTERM). Its containers go on under their shims."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise EngineError(f"containerd did not stop in {STOP_TIMEOUT:.0f} s\n{ready.tail(self.log)}") from error
        self._process = None

    def kill(self) -> None:
        """End containerd as a crash would (SIGKILL). Its containers go on under their shims."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_TIMEOUT)
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def load(self, archive: bytes, name: str) -> None:
        """Import an archive, and return once CRI knows the image `name` in it. One that is there stays as it is."""
        if self._has_image(name):
            return
        command = [_program("ctr"), "--address", str(self.socket), "--namespace", NAMESPACE, "images", "import", "-"]
        done = subprocess.run(command, input=archive, capture_output=True, timeout=COMMAND_TIMEOUT)
        if done.returncode:
            raise EngineError(f"ctr images import: {done.stderr.decode(errors='replace').strip()}")
        assert self._process is not None
        # CRI hears of it through an event.
        ready.wait_for(self._process, lambda left: self._has_image(name), self.log, COMMAND_TIMEOUT)

    def contents(self) -> list[str]:
        """The sandboxes and containers, one line each."""
        sandboxes = v1.ListPodSandboxResponse.FromString(self._call("RuntimeService/ListPodSandbox"))
        containers = v1.ListContainersResponse.FromString(self._call("RuntimeService/ListContainers"))
        return [
            *(f"sandbox {item.id[:12]} {item.metadata.name}" for item in sandboxes.items),
            *(f"container {item.id[:12]} {item.metadata.name}" for item in containers.containers),
        ]

    def _has_image(self, name: str) -> bool:
        request = v1.ImageStatusRequest(image=v1.ImageSpec(image=name))
        answer = self._call("ImageService/ImageStatus", request.SerializeToString())
        return v1.ImageStatusResponse.FromString(answer).HasField("image")

    def _answers(self, left: float) -> bool:
        with contextlib.suppress(grpc.RpcError):
            self._call("RuntimeService/Version", timeout=left)
            return True
        return False

    def _call(self, method: str, request: bytes = b"", timeout: float = COMMAND_TIMEOUT) -> bytes:
        with grpc.insecure_channel(f"unix:{self.socket}") as channel:
            call: Any = channel.unary_unary(f"/runtime.v1.{method}")
            answer: bytes = call(request, timeout=timeout)
            return answer

    def _command(self) -> list[str]:
        path = self._slot.path
        network = path / "cni" / "10-private.conflist"
        network.parent.mkdir(exist_ok=True)
        network.write_text(json.dumps(self._network()))
        config = path / "containerd.toml"
        config.write_text(tomli_w.dumps(self._config()))
        return [_program("containerd"), "--config", str(config)]

    def _config(self) -> dict[str, object]:
        path = self._slot.path
        runc = {"runtime_type": "io.containerd.runc.v2", "options": {"Root": str(path / "run/runc")}}
        cri = {
            "sandbox_image": pause.NAME,
            "restrict_oom_score_adj": not facts.may_lower_oom_score(),
            "netns_mounts_under_state_dir": True,
            "cni": {"bin_dir": _cni_directory(), "conf_dir": str(path / "cni")},
            "containerd": {"snapshotter": "overlayfs", "default_runtime_name": "runc", "runtimes": {"runc": runc}},
        }
        return {
            "version": 2,
            "root": str(path / "containerd"),
            # Below dockerd's name for it, so that one sweep finds the shims' sockets of both.
            "state": str(path / "run/containerd/daemon"),
            "grpc": {"address": str(self.socket)},
            "plugins": {
                "io.containerd.grpc.v1.cri": cri,
                "io.containerd.internal.v1.opt": {"path": str(path / "opt")},
            },
        }

    def _network(self) -> dict[str, object]:
        """Bridge and address are the slot's own, so the plugin changes neither them nor the host's forwarding."""
        gateway = self._slot.bridge_address
        return {
            "cniVersion": "0.4.0",
            "name": self._slot.bridge,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": self._slot.bridge,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self._slot.path / "addresses"),
                        "ranges": [[{"subnet": str(gateway.network), "gateway": str(gateway.ip)}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }


@contextlib.contextmanager
def private_containerd() -> Iterator[PrivateContainerd]:
    """A started private containerd, removed with all that it holds at the end.

    Raises Unavailable when this host cannot have one, EngineError when it does not start.
    """
    for program in ("containerd", "ctr", "runc"):
        _program(program)
    _cni_directory()
    images.static_busybox()
    slot = claim()
    try:
        engine = PrivateContainerd(slot)
        engine.start()
        try:
            yield engine
        finally:
            engine.kill()
    finally:
        slot.release()


def _program(name: str) -> str:
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin"
    found = shutil.which(name, path=search)
    if found is None:
        raise Unavailable(f"no {name} on this host: install the package {'runc' if name == 'runc' else 'containerd'}")
    return found


def _cni_directory() -> str:
    for directory in CNI_DIRECTORIES:
        if all(Path(directory, plugin).exists() for plugin in CNI_PLUGINS):
            return directory
    raise Unavailable("no CNI plugins on this host: install the package containernetworking-plugins")
