"""What a container's config is made of, besides CRI's own messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.native.oci.cdi import Additions
from runtimes.shared.accounts import Accounts
from runtimes.shared.engine_process import EngineProcess

OCI_VERSION = "1.0.2"
"""The newest that every runtime in use takes: crun refuses a config with a version that it does not know."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What this host has, and may be used. ``host.look`` finds it out."""

    kernel: tuple[int, int] = (6, 1)
    architecture: str = "amd64"  # by the names of Go and of seccomp profiles
    cgroup_v2: bool = False  # all controllers are v2's
    cgroup_driver: str = "cgroupfs"  # or "systemd", or "none"
    rootless: bool = False  # root is an ordinary user of the host
    swap_limits: bool = True  # memory and swap can be limited together
    seccomp: bool = True  # the kernel filters system calls
    apparmor: bool = False
    selinux: bool = False
    process: EngineProcess = field(default_factory=EngineProcess)
    files_limit: int = 1 << 20  # the most open files that a process here may allow another
    processes_limit: int = 1 << 22
    pids_limit: int = 2048  # processes in a container that asks for no other limit; 0 for none
    seccomp_profile: Mapping[str, Any] | None = None  # what RuntimeDefault means; None where no package brought one

    @property
    def recursive_read_only(self) -> bool:
        """Whether mount_setattr(2) is there, which changes a whole tree of mounts at once."""
        return self.kernel >= (5, 12)

    @property
    def idmapped_mounts(self) -> bool:
        """Whether a mount can show files as another's. Which file systems can is known at the mount only."""
        return self.kernel >= (5, 12) and not self.rootless

    @property
    def cgroups(self) -> bool:
        """Whether containers have cgroups of their own, and with them limits and stats."""
        return self.cgroup_driver != "none"


@dataclass(frozen=True, slots=True)
class SandboxFacts:
    """A ready sandbox, as its containers need it."""

    id: str
    config: v1.PodSandboxConfig
    hostname: str
    cgroup: str
    """Above its containers' cgroups: a path for the cgroupfs driver, the name of a slice for systemd's."""
    directory: Path
    """Has ``hosts``, ``hostname``, ``resolv.conf`` and ``shm``, a tmpfs that is not needed with the host's ipc."""
    namespaces: Mapping[str, Path] = field(default_factory=dict)
    """By the names of /proc/PID/ns: net, ipc, uts, user, pid. One that is not there is the host's; of pid it may be
    that each container has its own."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image says of the containers made from it, and its accounts."""

    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    volumes: tuple[str, ...] = ()
    accounts: Accounts = field(default_factory=Accounts)

    @classmethod
    def read(cls, image: Mapping[str, Any], accounts: Accounts) -> ImageFacts:
        """From an OCI image config, the whole of it or its ``config`` alone."""
        config = image.get("config") or image
        return cls(
            env=tuple(config.get("Env") or ()),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            cmd=tuple(config.get("Cmd") or ()),
            working_dir=str(config.get("WorkingDir") or ""),
            user=str(config.get("User") or ""),
            volumes=tuple(sorted(config.get("Volumes") or ())),
            accounts=accounts,
        )


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device of the host as a container gets it. ``kind`` is c or b; ``access`` is made of r, w and m."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o660
    uid: int = 0
    gid: int = 0
    access: str = "rwm"


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """One container. What is not in CRI's config was looked up for it, see ``lookups``."""

    id: str
    config: v1.ContainerConfig
    rootfs: Path
    target_pid: int = 0  # a process of the container that namespace option TARGET names
    seccomp_json: str = ""  # the text of a Localhost profile
    devices: tuple[DeviceNode, ...] = ()
    brought: Additions = field(default_factory=Additions)  # besides nodes, what devices by name need
    sources: Mapping[str, Path] = field(default_factory=dict)
    """What is mounted at a path in the container, where that is not the host path as it stands in the config: a mounted
    image, or a mount whose files were given to the sandbox's users."""
    volumes: Mapping[str, Path] = field(default_factory=dict)
    """The image's volumes that stay writable under a read-only root: a folder of the host by path in the container."""
