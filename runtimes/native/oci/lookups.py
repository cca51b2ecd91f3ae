"""What has to be looked up, or made in the root, before a container's config can be decided. Blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import cdi, host_devices, inside, process, users
from runtimes.native.oci.facts import ContainerRequest, ImageFacts, SandboxFacts
from runtimes.native.oci.host_mounts import check_propagation
from runtimes.shared import profiles
from runtimes.shared.accounts import Accounts
from runtimes.shared.image_accounts import SIZE_LIMIT


def look(
    container_id: str,
    config: v1.ContainerConfig,
    sandbox: SandboxFacts,
    image_config: Mapping[str, Any],
    rootfs: Path,
    *,
    target_pid: int = 0,
    sources: Mapping[str, Path] | None = None,
) -> tuple[ContainerRequest, ImageFacts]:
    """What ``spec.container_spec`` takes. The root is mounted and nobody else uses it yet: the working directory and
    the image's volumes are made in there. ``sources`` as in ContainerRequest. Raises InvalidArgument,
    FailedPrecondition."""
    where = dict(sources or {})
    _check_sources(config.mounts, where)
    with inside.root(rootfs) as root:
        _check_places(root)
        image = ImageFacts.read(image_config, Accounts(_text(root, "/etc/passwd"), _text(root, "/etc/group")))
        owner = _owner(process.user(config.linux.security_context, image), sandbox)
        _check_working_dir(_make(root, process.working_dir(config, image), "config.working_dir", owner), rootfs)
        volumes = {path: _make(root, path, "the image's volume", owner) for path in image.volumes}
    brought = cdi.additions(device.name for device in config.CDI_devices)
    request = ContainerRequest(
        id=container_id,
        config=config,
        rootfs=rootfs,
        target_pid=target_pid,
        seccomp_json=profiles.read_seccomp_now(profiles.seccomp(config.linux.security_context)),
        devices=tuple(host_devices.found(config, brought.nodes)),
        brought=brought,
        sources=where,
        volumes=volumes,
    )
    return request, image


def _owner(user: v1.LinuxContainerUser, sandbox: SandboxFacts) -> tuple[int, int]:
    """Of what is made for a container: as the host sees the user of its first process."""
    options = sandbox.config.linux.security_context.namespace_options
    if not users.has_own(options):
        return user.uid, user.gid
    mapped = options.userns_options
    return users.on_host(user.uid, mapped.uids), users.on_host(user.gid, mapped.gids)


def _text(root: int, path: str) -> str:
    found = inside.read(root, path, SIZE_LIMIT + 1)
    if len(found) > SIZE_LIMIT:
        raise FailedPrecondition(f"the image's {path} is larger than {SIZE_LIMIT} bytes")
    return found.decode(errors="replace")


def _make(root: int, path: str, field: str, owner: tuple[int, int]) -> Path:
    try:
        return inside.make_directory(root, path, owner=owner)
    except OSError as error:
        raise FailedPrecondition(
            f"{field}: {path!r} cannot be made in the container's root: {error.strerror}"
        ) from error


def _check_places(root: int) -> None:
    """Some runtimes write to these places by name, before the container is shut in: a link would lead them out."""
    for name in ("dev", "proc", "sys"):
        if inside.is_link(root, name):
            raise FailedPrecondition(f"the image has a symbolic link at /{name}, where only a directory can be")


def _check_working_dir(place: Path, rootfs: Path) -> None:
    """Some runtimes can be made to start in one of their own open directories, which are the host's."""
    if place.is_relative_to(rootfs.resolve() / "proc"):
        raise InvalidArgument(f"config.working_dir: /{place.relative_to(rootfs.resolve())} is in /proc")


def _check_sources(mounts: Iterable[v1.Mount], sources: Mapping[str, Path]) -> None:
    for mount in mounts:
        if mount.container_path in sources:
            continue
        if not os.path.exists(mount.host_path):
            raise InvalidArgument(f"config.mounts: {mount.host_path!r} for {mount.container_path!r} does not exist")
        check_propagation(mount)
