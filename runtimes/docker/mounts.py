"""CRI's mounts and devices as Docker's. Pure.

CRI wants an error for a host path that is not there, and Docker's mounts (unlike its older binds) give one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.features import EngineFacts
from runtimes.shared import image_status

_PROPAGATION = {
    v1.PROPAGATION_PRIVATE: "rprivate",
    v1.PROPAGATION_HOST_TO_CONTAINER: "rslave",
    v1.PROPAGATION_BIDIRECTIONAL: "rshared",
}
_EVERY_ACCESS = "rwm"


def options(mounts: Iterable[v1.Mount], facts: EngineFacts) -> dict[str, list[Any]]:
    """``Mounts`` and ``Binds``. Raises Unimplemented for what this engine cannot mount so."""
    found: dict[str, list[Any]] = {"Mounts": [], "Binds": []}
    for mount in mounts:
        _refuse(mount, facts)
        if mount.image.image:
            found["Mounts"].append(_image(mount))
        elif mount.selinux_relabel and facts.features.selinux:
            found["Binds"].append(_relabelled(mount))
        else:
            found["Mounts"].append(_mount(mount, facts))
    return found


def _refuse(mount: v1.Mount, facts: EngineFacts) -> None:
    where = f"config.mounts: {mount.container_path!r}"
    if mount.image.image and not mount.readonly:
        raise InvalidArgument(f"{where} is an image, which nobody may write to: set readonly")
    if mount.image.image and not facts.features.image_mounts:
        raise Unimplemented(f"{where} is an image, which needs Docker 28; this is Docker {facts.engine_version}")
    if mount.uidMappings or mount.gidMappings:
        raise Unimplemented(f"{where} maps users, which Docker does for the whole daemon or not at all")
    if mount.mount_options:
        raise Unimplemented(f"{where} has mount_options {', '.join(mount.mount_options)}, which Docker does not take")
    if mount.recursive_read_only and not facts.features.recursive_read_only:
        raise Unimplemented(
            f"{where} is to be read-only with all below it, which needs Docker 25 and Linux 5.12; "
            f"this is Docker {facts.engine_version} on Linux {facts.kernel}"
        )


def _image(mount: v1.Mount) -> dict[str, Any]:
    source = mount.image.image_ref or image_status.engine_name(mount.image.image, field="config.mounts.image")
    found = {"Type": "image", "Source": source, "Target": mount.container_path, "ReadOnly": True}
    return found | ({"ImageOptions": {"Subpath": mount.image_sub_path}} if mount.image_sub_path else {})


def _mount(mount: v1.Mount, facts: EngineFacts) -> dict[str, Any]:
    if mount.recursive_read_only:
        options = {"ReadOnlyForceRecursive": True}
    else:
        # From API 1.44 on a read-only mount is recursive where it can be; CRI asks for that by name only.
        options = {"ReadOnlyNonRecursive": True} if mount.readonly and facts.features.recursive_read_only else {}
    return {
        "Type": "bind",
        "Source": mount.host_path,
        "Target": mount.container_path,
        "ReadOnly": mount.readonly,
        "BindOptions": {"Propagation": _PROPAGATION[mount.propagation], **options},
    }


def _relabelled(mount: v1.Mount) -> str:
    """Docker relabels only what comes as a bind, whose fields are separated by colons."""
    if mount.recursive_read_only:
        raise Unimplemented(
            f"config.mounts: Docker cannot relabel {mount.container_path!r} and make it recursive_read_only"
        )
    if ":" in mount.host_path + mount.container_path:
        raise InvalidArgument(
            f"config.mounts: Docker cannot relabel {mount.host_path!r}, because of the colon in a path"
        )
    access = "ro" if mount.readonly else "rw"
    return f"{mount.host_path}:{mount.container_path}:{access},Z,{_PROPAGATION[mount.propagation]}"


def devices(config: v1.ContainerConfig, facts: EngineFacts) -> dict[str, list[Any]]:
    """``Devices``, and ``DeviceRequests`` for CDI. Raises Unimplemented for CDI before API 1.44."""
    found: dict[str, list[Any]] = {
        "Devices": [
            {
                "PathOnHost": device.host_path,
                "PathInContainer": device.container_path or device.host_path,
                "CgroupPermissions": device.permissions or _EVERY_ACCESS,
            }
            for device in config.devices
        ]
    }
    if config.CDI_devices:
        if not facts.features.cdi_devices:
            raise Unimplemented(f"config.CDI_devices needs Docker 25; this is Docker {facts.engine_version}")
        names = [device.name for device in config.CDI_devices]
        found["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": names}]
    return found
