"""What a container sees where: the kernel's file systems, the sandbox's files, and CRI's mounts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import namespaces, users
from runtimes.native.oci.facts import ContainerRequest, HostFacts, ImageFacts, SandboxFacts
from runtimes.native.oci.process import inside

SANDBOX_FILES = {"/etc/hostname": "hostname", "/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf"}
"""By path in the container, those of ``SandboxFacts.directory``."""

_FIELD = "config.mounts"
_SHM = "/dev/shm"  # noqa: S108
_HARMLESS = ["nosuid", "noexec", "nodev"]

_OF_IMAGE = ["nosuid", "nodev"]
"""Of a mounted image: CRI's conformance suite runs programs from there."""

_PROPAGATION = {
    v1.PROPAGATION_PRIVATE: "rprivate",
    v1.PROPAGATION_HOST_TO_CONTAINER: "rslave",
    v1.PROPAGATION_BIDIRECTIONAL: "rshared",
}
_EXTRA_OPTIONS = frozenset(
    {
        "dev",
        "exec",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "nosuid",
        "nosymfollow",
        "relatime",
        "strictatime",
        "suid",
    }
)
"""What a client may ask for besides: options of a mount, none that changes what is mounted or who sees it."""


def of_container(
    request: ContainerRequest, sandbox: SandboxFacts, image: ImageFacts, host: HostFacts
) -> list[dict[str, Any]]:
    """``mounts``, in the order in which they are made: each after what it lies in. Raises InvalidArgument,
    Unimplemented."""
    asked = [_asked(mount, request, sandbox, host) for mount in request.config.mounts]
    taken = {mount["destination"] for mount in asked}
    given = [
        *_of_kernel(request, sandbox, host),
        *_of_sandbox(request, sandbox),
        *(_bind(path, source, ["rprivate", "rw", "nodev"]) for path, source in _volumes(request, image)),
    ]
    # Sorting is stable: of two mounts at one place the later one is seen, as the client listed them.
    return sorted(
        [*(mount for mount in given if mount["destination"] not in taken), *asked],
        key=lambda mount: len([part for part in mount["destination"].split("/") if part]),
    )


def propagation(mounts: Iterable[v1.Mount]) -> str:
    """How the container's mounts follow the host's: as far as one of ``mounts`` needs, for nothing reaches a mount
    through one above it that is private."""
    wanted = {mount.propagation for mount in mounts}
    if v1.PROPAGATION_BIDIRECTIONAL in wanted:
        return _PROPAGATION[v1.PROPAGATION_BIDIRECTIONAL]
    if v1.PROPAGATION_HOST_TO_CONTAINER in wanted:
        return _PROPAGATION[v1.PROPAGATION_HOST_TO_CONTAINER]
    return _PROPAGATION[v1.PROPAGATION_PRIVATE]


def _of_kernel(request: ContainerRequest, sandbox: SandboxFacts, host: HostFacts) -> list[dict[str, Any]]:
    context = request.config.linux.security_context
    access = "rw" if context.privileged else "ro"
    # In a user namespace the kernel shows only what belongs to it: the host's has to be bound instead.
    foreign = "user" in sandbox.namespaces
    host_pids = namespaces.shares_host_pids(context.namespace_options, sandbox)
    return [
        _bind("/proc", "/proc", ["rprivate", *_HARMLESS])
        if foreign and host_pids
        else _mount("/proc", "proc", _HARMLESS),
        _mount("/dev", "tmpfs", ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _bind("/dev/mqueue", "/dev/mqueue", ["rprivate", *_HARMLESS])
        if foreign and "ipc" not in sandbox.namespaces
        else _mount("/dev/mqueue", "mqueue", _HARMLESS),
        _bind("/sys", "/sys", ["rprivate", *_HARMLESS, "rro" if access == "ro" else "rw"])
        if (foreign or host.rootless) and "net" not in sandbox.namespaces
        else _mount("/sys", "sysfs", [*_HARMLESS, access]),
        _mount("/sys/fs/cgroup", "cgroup", [*_HARMLESS, "relatime", access]),
    ]


def _of_sandbox(request: ContainerRequest, sandbox: SandboxFacts) -> list[dict[str, Any]]:
    access = "ro" if request.config.linux.security_context.readonly_rootfs else "rw"
    shm = sandbox.directory / "shm" if "ipc" in sandbox.namespaces else Path(_SHM)
    return [
        _bind(_SHM, shm, ["rprivate", *_HARMLESS, "rw"]),
        *(
            _bind(path, sandbox.directory / name, ["rprivate", *_HARMLESS, access])
            for path, name in SANDBOX_FILES.items()
        ),
    ]


def _volumes(request: ContainerRequest, image: ImageFacts) -> Iterable[tuple[str, Path]]:
    """An image's volumes are writable whatever its root is."""
    if request.config.linux.security_context.readonly_rootfs:
        for path in image.volumes:
            if path in request.volumes:
                yield inside(path), request.volumes[path]


def _asked(mount: v1.Mount, request: ContainerRequest, sandbox: SandboxFacts, host: HostFacts) -> dict[str, Any]:
    where = f"{_FIELD}: {mount.container_path!r}"
    target = inside(mount.container_path)
    if target == "/":
        raise InvalidArgument(f"{where} is the container's root, which is the image")
    extra = _extra(mount)
    if mount.image.image:
        if not mount.readonly:
            raise InvalidArgument(f"{where} is an image, which nobody may write to: set readonly")
        return _bind(target, request.sources[mount.container_path], ["rprivate", "ro", *_OF_IMAGE, *extra])
    if mount.recursive_read_only and not host.recursive_read_only:
        raise Unimplemented(
            f"{where} is to be read-only with all below it, which needs Linux 5.12; "
            f"this is {'.'.join(map(str, host.kernel))}"
        )
    users.follows(mount, sandbox.config.linux.security_context.namespace_options, host)
    access = "rro" if mount.recursive_read_only else "ro" if mount.readonly else "rw"
    source = request.sources.get(mount.container_path, mount.host_path)
    return _bind(target, source, [_PROPAGATION[mount.propagation], access, *extra])


def _extra(mount: v1.Mount) -> list[str]:
    for option in mount.mount_options:
        if option not in _EXTRA_OPTIONS:
            raise InvalidArgument(
                f"{_FIELD}: {mount.container_path!r} has mount_options {option!r}; "
                f"allowed are {', '.join(sorted(_EXTRA_OPTIONS))}"
            )
    return list(mount.mount_options)


def _bind(target: str, source: str | Path, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def _mount(target: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}
