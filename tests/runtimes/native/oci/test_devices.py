"""A container's devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci.facts import DeviceNode
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import config, context, linux, sandbox, spec

EVERYTHING = {"allow": True, "access": "rwm"}
NOBODYS, FORBIDDEN = "No such device or address", "Operation not permitted"
EXPERIMENTAL = os.makedev(240, 7)
"""Reserved for such use: no driver answers, but whether one may ask is decided before."""

FUSE = DeviceNode("/dev/fuse", "c", 10, 229, mode=0o666, access="rw")


def shell(bench: Bench, script: str, *devices: v1.Device) -> str:
    """What a shell prints in a container with these devices."""
    wanted = config(command=["sh", "-c", script], devices=devices)
    return bench.run(bench.spec(wanted, bench.sandbox())).output


def test_a_container_may_use_what_it_asked_for_and_nothing_else() -> None:
    made = spec(devices=(FUSE,))["linux"]
    assert made["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    ]
    assert [(each["path"], each["fileMode"]) for each in made["devices"]] == [("/dev/fuse", 0o666)]


def test_privileged_may_use_everything() -> None:
    made = spec(config(context(privileged=True)), sandbox(linux(privileged=True)))
    assert made["linux"]["resources"]["devices"] == [EVERYTHING]


def test_privileged_sees_the_hosts_devices_and_terminals_of_its_own(crun: Bench) -> None:
    wanted = config(context(privileged=True))
    paths = {each["path"] for each in crun.spec(wanted, crun.sandbox(linux(privileged=True)))["linux"]["devices"]}
    assert "/dev/null" in paths
    assert not any(path.startswith(("/dev/pts/", "/dev/shm/")) or path == "/dev/console" for path in paths)


@pytest.mark.parametrize(
    ("permissions", "read", "written"),
    [("r", NOBODYS, FORBIDDEN), ("w", FORBIDDEN, NOBODYS), ("", NOBODYS, NOBODYS)],
)
def test_a_device_is_where_it_was_asked_for_with_the_access_that_was(
    crun: Bench, tmp_path: Path, permissions: str, read: str, written: str
) -> None:
    os.mknod(tmp_path / "device", 0o20666, EXPERIMENTAL)
    wanted = v1.Device(host_path=str(tmp_path / "device"), container_path="/dev/mine", permissions=permissions)
    found = shell(crun, "(: < /dev/mine); (: > /dev/mine)", wanted).splitlines()
    assert [line.rpartition(": ")[2] for line in found] == [read, written]


def test_a_directory_of_devices_is_all_of_them(crun: Bench, tmp_path: Path) -> None:
    (tmp_path / "devices" / "below").mkdir(parents=True)
    for index, name in enumerate(("a", "below/b")):
        os.mknod(tmp_path / "devices" / name, 0o20666, os.makedev(1, 3 + 2 * index))
    (tmp_path / "devices" / "link").symlink_to("/dev/kmsg")
    wanted = v1.Device(host_path=str(tmp_path / "devices"), container_path="/dev/all")
    assert shell(crun, "find /dev/all -type c | sort; echo x > /dev/all/a", wanted) == "/dev/all/a\n/dev/all/below/b"


@pytest.mark.parametrize("path", ["/etc/passwd", "/dev/nothing"])
def test_what_is_no_device_is_refused(crun: Bench, path: str) -> None:
    with pytest.raises(InvalidArgument, match="devices"):
        shell(crun, "true", v1.Device(host_path=path))
