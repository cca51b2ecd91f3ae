"""CRI's mounts and devices as libpod's. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman import users
from runtimes.podman.features import EngineFacts
from runtimes.shared import image_status

_PROPAGATION = {
    v1.PROPAGATION_PRIVATE: "rprivate",
    v1.PROPAGATION_HOST_TO_CONTAINER: "rslave",
    v1.PROPAGATION_BIDIRECTIONAL: "rshared",
}
_EVERY_ACCESS = "rwm"


def options(mounts: Iterable[v1.Mount], given: v1.NamespaceOption, facts: EngineFacts) -> dict[str, list[Any]]:
    """``mounts`` and ``image_volumes``, in a sandbox with the namespaces ``given``. Raises Unimplemented for what this
    engine cannot mount so. Those that are read-only with all below them are ``read_only``'s to make so."""
    found: dict[str, list[Any]] = {"mounts": [], "image_volumes": []}
    for mount in mounts:
        _refuse(mount, facts)
        if mount.image.image:
            found["image_volumes"].append(_image(mount))
        else:
            found["mounts"].append(_bind(mount, given, facts))
    return found


def _refuse(mount: v1.Mount, facts: EngineFacts) -> None:
    where = f"config.mounts: {mount.container_path!r}"
    if mount.image.image and not mount.readonly:
        raise InvalidArgument(f"{where} is an image, which nobody may write to: set readonly")
    if mount.mount_options:
        raise Unimplemented(
            f"{where} has mount_options {', '.join(mount.mount_options)}, which minicri does not pass on"
        )
    if mount.image_sub_path and not facts.features.image_subpaths:
        raise Unimplemented(f"{where} is a part of an image, which needs Podman 5.4; this is {facts.engine_version}")


def _bind(mount: v1.Mount, given: v1.NamespaceOption, facts: EngineFacts) -> dict[str, Any]:
    access = ["ro" if mount.readonly else "rw", _PROPAGATION[mount.propagation]]
    relabel = ["Z"] if mount.selinux_relabel and facts.features.selinux else []
    return {
        "type": "bind",
        "source": mount.host_path,
        "destination": mount.container_path,
        "options": ["rbind", *access, *relabel, *users.mount_options(mount, given)],
    }


def _image(mount: v1.Mount) -> dict[str, Any]:
    found = {
        "Source": image_status.engine_name(mount.image.image, field="config.mounts.image"),
        "Destination": mount.container_path,
        "ReadWrite": False,
    }
    return found | ({"subPath": mount.image_sub_path} if mount.image_sub_path else {})


def devices(config: v1.ContainerConfig) -> list[dict[str, str]]:
    """Devices by path, and by name where a CDI file describes them."""
    by_path = (
        f"{device.host_path}:{device.container_path or device.host_path}:{device.permissions or _EVERY_ACCESS}"
        for device in config.devices
    )
    return [{"path": text} for text in (*by_path, *(device.name for device in config.CDI_devices))]
