"""Sandboxes with users of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import idmapped, users
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import config, context, host, linux, own_users, sandbox, spec

FIRST = 100000
POD = linux(namespace_options=own_users(FIRST))
MAPPING = list(own_users(FIRST).userns_options.uids)


def mount(source: Path, target: str = "/v") -> v1.Mount:
    """One that follows the sandbox's users."""
    return v1.Mount(container_path=target, host_path=str(source), uidMappings=MAPPING, gidMappings=MAPPING)


@pytest.fixture
def mapped(crun: Bench) -> Bench:
    """A root that belongs to the sandbox's users, below directories that these may pass."""
    for folder, below, files in os.walk(crun.rootfs):
        for name in (".", *below, *files):
            os.chown(Path(folder, name), FIRST, FIRST, follow_symlinks=False)
    for above in crun.directory.parents:
        if above.stat().st_mode & 0o001 == 0:
            above.chmod(above.stat().st_mode | 0o001)
    crun.directory.chmod(0o711)
    return crun


def test_a_user_is_another_on_the_host() -> None:
    mappings = [*MAPPING, v1.IDMapping(container_id=65536, host_id=7, length=1)]
    assert users.on_host(33, mappings) == FIRST + 33
    assert users.on_host(65536, mappings) == 7
    with pytest.raises(InvalidArgument, match="65537"):
        users.on_host(65537, mappings)


def test_users_without_mappings_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="uids"):
        users.check_sandbox(v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.POD)), host())


def test_mappings_are_said_beside_the_namespace() -> None:
    made = spec(pod=sandbox(POD, namespaces={"user": Path("/run/ns/s/user")}))["linux"]
    assert made["uidMappings"] == [{"containerID": 0, "hostID": FIRST, "size": 65536}] == made["gidMappings"]


def test_a_mount_that_follows_users_needs_a_kernel_that_can() -> None:
    with pytest.raises(Unimplemented, match=r"5\.12"):
        users.follows(mount(Path("/srv")), POD.security_context.namespace_options, host(kernel=(5, 10)))


def test_root_in_the_container_is_somebody_else_on_the_host(mapped: Bench) -> None:
    wanted = config(command=["sh", "-c", "id -u; cat /proc/self/uid_map; touch /made"])
    ended = mapped.run(mapped.spec(wanted, mapped.sandbox(POD)))
    assert ended.output.split() == ["0", "0", str(FIRST), "65536"]
    assert (mapped.rootfs / "made").stat().st_uid == FIRST


def test_root_in_the_container_may_not_touch_what_is_the_hosts_roots(mapped: Bench, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o755)
    plain = v1.Mount(container_path="/v", host_path=str(volume))
    wanted = config(command=["sh", "-c", "touch /v/x; mknod /tmp/n c 1 3; mount -t proc p /tmp"], mounts=[plain])
    output = mapped.run(mapped.spec(wanted, mapped.sandbox(POD))).output
    assert "touch: /v/x: Permission denied" in output
    assert "mknod: /tmp/n: Operation not permitted" in output


def test_a_working_directory_belongs_to_the_user_who_works_there(mapped: Bench) -> None:
    wanted = config(context(run_as_user=v1.Int64Value(value=33)), command=["touch", "x"], working_dir="/new/place")
    assert mapped.run(mapped.spec(wanted, mapped.sandbox(POD))).output == ""
    assert (mapped.rootfs / "new/place/x").stat().st_uid == FIRST + 33


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_files_of_a_mount_that_follows_are_the_containers_own(mapped: Bench, tmp_path: Path, kind: str) -> None:
    volume = tmp_path / "volume"
    if kind == "directory":
        volume.mkdir()
    else:
        volume.touch()
    pod = mapped.sandbox(POD)
    sources = idmapped.prepare([mount(volume)], pod, mapped.host, tmp_path / "staging")
    script = "stat -c %u /v; if [ -d /v ]; then touch /v/made; else echo made > /v; fi"
    ended = mapped.run(mapped.spec(config(command=["sh", "-c", script], mounts=[mount(volume)]), pod, sources=sources))
    idmapped.release(tmp_path / "staging")
    assert ended.output == "0"
    assert (volume / "made" if kind == "directory" else volume).stat().st_uid == 0
    assert not (tmp_path / "staging").exists()


def test_options_of_a_mount_hold_for_users_of_its_own_too(mapped: Bench, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    plain = v1.Mount(container_path="/v", host_path=str(volume), mount_options=["noexec", "nosuid"])
    pod = mapped.sandbox(POD)
    sources = idmapped.prepare([plain], pod, mapped.host, tmp_path / "staging")
    wanted = config(command=["grep", " /v ", "/proc/mounts"], mounts=[plain])
    ended = mapped.run(mapped.spec(wanted, pod, sources=sources))
    idmapped.release(tmp_path / "staging")
    assert {"noexec", "nosuid"} <= set(ended.output.split()[3].split(","))


def test_a_file_system_that_cannot_is_named_and_nothing_is_left(mapped: Bench, tmp_path: Path) -> None:
    pod = mapped.sandbox(POD)
    (tmp_path / "volume").mkdir()
    mounts = [mount(tmp_path / "volume"), mount(Path("/proc"), "/w")]
    with pytest.raises(FailedPrecondition, match="/proc"):
        idmapped.prepare(mounts, pod, mapped.host, tmp_path / "staging")
    assert not (tmp_path / "staging").exists()


def test_releasing_what_was_never_prepared_succeeds(tmp_path: Path) -> None:
    idmapped.release(tmp_path / "staging")
