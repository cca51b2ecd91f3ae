"""`python3 tests/host/packages.py test|demo-RUNTIME`: install what the host lacks, and say what.

Runs on a bare Python, before anything else is there, so it imports nothing but the standard library. A need that
the host fulfils already, from whatever source, is not installed again; an engine that answers is used as it is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST_PYTHON = (3, 11)
_SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin"


@dataclass(frozen=True)
class Need:
    """One thing that a purpose needs of the host, and the Debian package that brings it."""

    package: str
    purposes: frozenset[str]
    fulfilled: Callable[[], bool]


def has_program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name, path=_SEARCH) is not None


def has_static_busybox() -> bool:
    """Debian's plain busybox needs shared libraries and does not run in an image of its own."""
    return Path("/usr/share/doc/busybox-static").exists()


def has_venv() -> bool:
    """Debian splits it off Python."""
    return importlib.util.find_spec("ensurepip") is not None


def has_docker() -> bool:
    """An engine that answers, or the means to start a private one."""
    named = os.environ.get("DOCKER_HOST") or os.environ.get("TEST_DOCKERD")
    return bool(named) or _listens("/var/run/docker.sock") or has_program("dockerd")()


def has_podman() -> bool:
    """A service that answers, or the means to start a private one."""
    return bool(os.environ.get("CONTAINER_HOST")) or _listens("/run/podman/podman.sock") or has_program("podman")()


def has_podman_helper(name: str) -> Callable[[], bool]:
    """They are in a directory of Podman's own."""
    return lambda: any(Path(directory, name).exists() for directory in ("/usr/lib/podman", "/usr/libexec/podman"))


def has_seccomp_profile() -> bool:
    """The default one, which every engine of this host may use."""
    return Path("/usr/share/containers/seccomp.json").exists()


def has_cni_plugins() -> bool:
    """Debian has a directory of its own for them; containerd's own instructions name the other."""
    return any(Path(directory, "bridge").exists() for directory in ("/usr/lib/cni", "/opt/cni/bin"))


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


_TEST = frozenset({"test"})
_DOCKER, _PODMAN, _NATIVE = (_TEST | {f"demo-{name}"} for name in ("docker", "podman", "native"))
_ALL = _DOCKER | _PODMAN | _NATIVE
_NEEDS = (
    Need(f"python{sys.version_info.major}.{sys.version_info.minor}-venv", _ALL, has_venv),
    Need("docker.io", _DOCKER, has_docker),
    Need("iproute2", _ALL, has_program("ip")),
    Need("iptables", _DOCKER | _PODMAN, has_program("iptables")),
    Need("busybox-static", _ALL, has_static_busybox),
    Need("containerd", _TEST, has_program("containerd")),
    Need("containernetworking-plugins", _TEST, has_cni_plugins),
    Need("podman", _PODMAN, has_podman),
    Need("nftables", _NATIVE, has_program("nft")),
    Need("crun", _PODMAN | _NATIVE, has_program("crun")),
    Need("conmon", _PODMAN | _NATIVE, has_program("conmon")),
    Need("netavark", _PODMAN, has_podman_helper("netavark")),
    Need("aardvark-dns", _PODMAN, has_podman_helper("aardvark-dns")),
    Need("skopeo", _TEST, has_program("skopeo")),
    Need("golang-github-containers-common", _PODMAN | _NATIVE, has_seccomp_profile),
    Need("uidmap", _TEST, has_program("newuidmap")),
    Need("slirp4netns", _TEST, has_program("slirp4netns")),
    Need("docker-registry", _TEST, has_program("docker-registry")),
)


def lacking(purpose: str) -> list[str]:
    """The packages that `purpose` still needs."""
    return [need.package for need in _NEEDS if purpose in need.purposes and not need.fulfilled()]


def install(packages: Sequence[str]) -> None:
    """Raises SystemExit, with the command for a person to run, where this process cannot."""
    wanted = " ".join(packages)
    apt = shutil.which("apt-get", path=_SEARCH)
    if apt is None:
        raise SystemExit(f"error: this host has no apt-get; install by its own means what these bring: {wanted}")
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    if become_root and shutil.which("sudo") is None:
        raise SystemExit(f"error: not root, and no sudo: have somebody run: apt-get install {wanted}")
    print(f"installing with apt-get: {wanted}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [*become_root, apt, *command],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{done.stdout}\nerror: apt-get {command[0]} failed; run: apt-get install {wanted}")


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in _ALL:
        print((__doc__ or "").partition("\n")[0], file=sys.stderr)
        return 2
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        print(
            f"error: this is Python {sys.version.split()[0]}; {oldest} or newer is needed: make PYTHON=python{oldest}",
            file=sys.stderr,
        )
        return 1
    if packages := lacking(arguments[0]):
        install(packages)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
