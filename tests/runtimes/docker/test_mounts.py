"""What mounts and devices become in Docker's API; no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker import mounts
from runtimes.docker.features import EngineFacts
from tests.runtimes.docker.examples import VERSION_29, facts

SELINUX = facts(SecurityOptions=["name=selinux"])


def mounted(mount: v1.Mount, engine: EngineFacts | None = None) -> dict[str, Any]:
    found: dict[str, Any] = mounts.options([mount], engine or facts())["Mounts"][0]
    return found


def test_a_mount_is_read_only_all_the_way_down_only_when_asked() -> None:
    mount = v1.Mount(host_path="/a", container_path="/b", readonly=True)
    assert mounted(mount)["BindOptions"] == {"Propagation": "rprivate"}
    assert mounted(mount, facts(VERSION_29))["BindOptions"]["ReadOnlyNonRecursive"]
    mount.recursive_read_only = True
    assert mounted(mount, facts(VERSION_29))["BindOptions"]["ReadOnlyForceRecursive"]


@pytest.mark.parametrize(
    ("propagation", "word"),
    [
        (v1.PROPAGATION_PRIVATE, "rprivate"),
        (v1.PROPAGATION_HOST_TO_CONTAINER, "rslave"),
        (v1.PROPAGATION_BIDIRECTIONAL, "rshared"),
    ],
)
def test_later_mounts_propagate_as_asked(propagation: v1.MountPropagation, word: str) -> None:
    mount = v1.Mount(host_path="/a", container_path="/b", propagation=propagation)
    assert mounted(mount)["BindOptions"]["Propagation"] == word


def test_an_image_or_a_part_of_it_is_mounted_by_its_id() -> None:
    spec = v1.ImageSpec(image="busybox", image_ref="sha256:1234")
    mount = v1.Mount(container_path="/b", readonly=True, image=spec)
    plain = {"Type": "image", "Source": "sha256:1234", "Target": "/b", "ReadOnly": True}
    assert mounted(mount, facts(VERSION_29)) == plain
    mount.image_sub_path = "etc"
    assert mounted(mount, facts(VERSION_29)) == plain | {"ImageOptions": {"Subpath": "etc"}}


def test_a_mounted_image_is_not_to_be_written() -> None:
    with pytest.raises(InvalidArgument, match="set readonly"):
        mounted(v1.Mount(container_path="/b", image=v1.ImageSpec(image="busybox")), facts(VERSION_29))


@pytest.mark.parametrize(
    "mount",
    [
        v1.Mount(host_path="/a", container_path="/b", readonly=True, recursive_read_only=True),
        v1.Mount(container_path="/b", readonly=True, image=v1.ImageSpec(image="busybox")),
        v1.Mount(host_path="/a", container_path="/b", uidMappings=[v1.IDMapping(length=1)]),
        v1.Mount(host_path="/a", container_path="/b", mount_options=["noexec"]),
    ],
    ids=["recursive", "image", "mapped", "options"],
)
def test_a_mount_that_the_engine_cannot_make_is_refused_by_its_path(mount: v1.Mount) -> None:
    with pytest.raises(Unimplemented, match="/b"):
        mounted(mount)


def test_a_mount_is_relabelled_only_where_there_are_labels() -> None:
    mount = v1.Mount(host_path="/a", container_path="/b", selinux_relabel=True, readonly=True)
    assert mounts.options([mount], facts())["Binds"] == []
    assert mounts.options([mount], SELINUX) == {"Mounts": [], "Binds": ["/a:/b:ro,Z,rprivate"]}


def test_a_path_with_a_colon_cannot_be_relabelled() -> None:
    with pytest.raises(InvalidArgument, match="colon"):
        mounts.options([v1.Mount(host_path="/a:b", container_path="/c", selinux_relabel=True)], SELINUX)


def test_a_device_has_the_same_path_inside_and_every_access_when_nothing_is_said() -> None:
    config = v1.ContainerConfig(
        devices=[v1.Device(host_path="/dev/a"), v1.Device(host_path="/dev/b", container_path="/dev/c", permissions="r")]
    )
    assert mounts.devices(config, facts())["Devices"] == [
        {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
        {"PathOnHost": "/dev/b", "PathInContainer": "/dev/c", "CgroupPermissions": "r"},
    ]


def test_a_cdi_device_needs_an_engine_that_knows_them() -> None:
    config = v1.ContainerConfig(CDI_devices=[v1.CDIDevice(name="vendor.com/gpu=0")])
    assert mounts.devices(config, facts(VERSION_29))["DeviceRequests"] == [
        {"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=0"]}
    ]
    with pytest.raises(Unimplemented, match="Docker 25"):
        mounts.devices(config, facts())
