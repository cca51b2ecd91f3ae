"""What a container sees where."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native import kernel
from runtimes.native.oci.facts import ImageFacts
from runtimes.native.oci.host_mounts import check_propagation
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import PINNED, config, context, host, linux, mount, own_users, sandbox, spec

Mount = v1.Mount


def bind(target: str, source: Path | str = "/srv", **fields: Any) -> Mount:
    return Mount(container_path=target, host_path=str(source), **fields)


def options(wanted: Mount, **request: Any) -> list[str]:
    """The options of the one mount that the request adds."""
    found: list[str] = mount(spec(config(mounts=[wanted]), **request), "/v")["options"]
    return found


def test_each_mount_is_made_after_what_it_lies_in() -> None:
    wanted = [bind("/a/b/c"), bind("/a"), bind("/a/b")]
    found = [each["destination"] for each in spec(config(mounts=wanted))["mounts"]]
    assert [path for path in found if path.startswith("/a")] == ["/a", "/a/b", "/a/b/c"]
    assert found.index("/dev") < found.index("/dev/pts")


def test_a_mount_of_the_request_takes_the_place_of_the_sandboxs_file() -> None:
    made = spec(config(mounts=[bind("/etc//hosts/", "/var/hosts")]))
    assert mount(made, "/etc/hosts")["source"] == "/var/hosts"


def test_the_root_cannot_be_mounted_over() -> None:
    with pytest.raises(InvalidArgument, match="root"):
        spec(config(mounts=[bind("//.")]))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["rbind", "rprivate", "rw"]),
        ({"readonly": True}, ["rbind", "rprivate", "ro"]),
        ({"readonly": True, "recursive_read_only": True}, ["rbind", "rprivate", "rro"]),
        ({"propagation": v1.PROPAGATION_HOST_TO_CONTAINER}, ["rbind", "rslave", "rw"]),
        ({"mount_options": ["noexec"]}, ["rbind", "rprivate", "rw", "noexec"]),
    ],
)
def test_a_mounts_fields_are_its_options(fields: dict[str, Any], expected: list[str]) -> None:
    assert options(bind("/v", **fields)) == expected


def test_recursive_read_only_needs_a_kernel_that_can() -> None:
    with pytest.raises(Unimplemented, match=r"5\.12"):
        spec(config(mounts=[bind("/v", readonly=True, recursive_read_only=True)]), facts=host(kernel=(5, 10)))


@pytest.mark.parametrize("option", ["remount", "rshared", "lowerdir=/", "bind", "rw"])
def test_an_option_that_changes_what_is_mounted_is_refused(option: str) -> None:
    with pytest.raises(InvalidArgument, match="mount_options"):
        options(bind("/v", mount_options=[option]))


def test_an_image_is_mounted_where_it_was_put_and_never_writable() -> None:
    wanted = Mount(container_path="/v", image=v1.ImageSpec(image="data"), readonly=True)
    made = spec(config(mounts=[wanted]), sources={"/v": Path("/mounted")})
    assert mount(made, "/v")["source"] == "/mounted"
    assert {"ro", "nosuid", "nodev"} <= set(mount(made, "/v")["options"])
    with pytest.raises(InvalidArgument, match="readonly"):
        spec(config(mounts=[Mount(container_path="/v", image=v1.ImageSpec(image="data"))]))


def test_the_container_follows_the_hosts_mounts_as_far_as_one_of_its_own_does() -> None:
    modes = (v1.PROPAGATION_PRIVATE, v1.PROPAGATION_HOST_TO_CONTAINER, v1.PROPAGATION_BIDIRECTIONAL)
    made = [spec(config(mounts=[bind("/a"), bind("/v", propagation=mode)])) for mode in modes]
    assert [each["linux"]["rootfsPropagation"] for each in made] == ["rprivate", "rslave", "rshared"]


def test_the_hosts_shared_memory_is_for_those_on_its_ipc() -> None:
    assert mount(spec(), "/dev/shm")["source"] == "/run/sandboxes/s/shm"
    without = {name: path for name, path in PINNED.items() if name != "ipc"}
    assert mount(spec(pod=sandbox(namespaces=without)), "/dev/shm")["source"] == "/dev/shm"


def test_what_the_kernel_shows_is_read_only_unless_privileged() -> None:
    assert "ro" in mount(spec(), "/sys")["options"]
    assert "ro" in mount(spec(), "/sys/fs/cgroup")["options"]
    privileged = spec(config(context(privileged=True)), sandbox(linux(privileged=True)))
    assert "rw" in mount(privileged, "/sys")["options"]


def test_users_of_its_own_see_the_hosts_namespaces_through_binds() -> None:
    users = own_users(pid=v1.NODE)
    pod = sandbox(linux(namespace_options=users), namespaces={"user": Path("/run/ns/s/user")})
    made = spec(config(context(namespace_options=v1.NamespaceOption(pid=v1.NODE))), pod)
    assert [mount(made, path)["type"] for path in ("/proc", "/sys", "/dev/mqueue")] == ["bind"] * 3


def test_users_that_are_mapped_otherwise_than_the_sandboxs_are_refused() -> None:
    other = list(own_users(first=500000).userns_options.uids)
    wanted = bind("/v", uidMappings=other, gidMappings=other)
    with pytest.raises(Unimplemented, match="maps users"):
        options(wanted, pod=sandbox(linux(namespace_options=own_users())))


def shell(bench: Bench, script: str, *mounts: Mount, during: Callable[[], object] | None = None) -> str:
    """What a shell prints in a container with these mounts."""
    wanted = config(command=["sh", "-c", script], mounts=mounts)
    return bench.run(bench.spec(wanted, bench.sandbox()), during).output


@pytest.fixture
def volume(crun: Bench, tmp_path: Path) -> Path:
    """A directory with a file system of its own below it, whose mounts nobody else sees."""
    found = tmp_path / "volume"
    (found / "below").mkdir(parents=True)
    kernel.mount(found, found, flags=kernel.MS_BIND)
    crun.stack.callback(kernel.unmount, found)
    kernel.mount("none", found, flags=kernel.MS_PRIVATE)
    kernel.mount("below", found / "below", "tmpfs")
    crun.stack.callback(kernel.unmount, found / "below")
    return found


WRITES = "touch /v/x 2>/dev/null && echo above; touch /v/below/x 2>/dev/null && echo below; true"


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({}, "above\nbelow"),
        ({"readonly": True}, "below"),
        ({"readonly": True, "recursive_read_only": True}, ""),
    ],
)
def test_a_read_only_mount_is_so_as_deep_as_asked(
    crun: Bench, volume: Path, fields: dict[str, Any], written: str
) -> None:
    assert shell(crun, WRITES, bind("/v", volume, **fields)) == written


def test_a_mount_may_be_a_file_or_behind_a_link(crun: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to("file")
    found = shell(crun, "cat /v /w", bind("/v", tmp_path / "file"), bind("/w", tmp_path / "link"))
    assert found == "contentcontent"


def test_a_host_path_that_is_not_there_is_refused(crun: Bench, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="does not exist"):
        shell(crun, "true", bind("/v", tmp_path / "nothing"))


WAITS = "echo started > /v/started; read word < /v/go; ls /v/late"


def mount_late(volume: Path, crun: Bench) -> None:
    """Once the container runs, mount something below its volume; then let it go on."""
    (volume / "started").read_text()
    kernel.mount("late", volume / "late", "tmpfs")
    crun.stack.callback(kernel.unmount, volume / "late")
    (volume / "late" / "there").touch()
    (volume / "go").write_text("go\n")


@pytest.mark.parametrize(("mode", "seen"), [(v1.PROPAGATION_PRIVATE, ""), (v1.PROPAGATION_HOST_TO_CONTAINER, "there")])
def test_a_mount_that_the_host_makes_later_is_seen_only_if_asked(
    crun: Bench, volume: Path, mode: v1.MountPropagation, seen: str
) -> None:
    kernel.mount("none", volume, flags=kernel.MS_SHARED)
    (volume / "late").mkdir()
    for name in ("started", "go"):
        os.mkfifo(volume / name)
    found = shell(crun, WAITS, bind("/v", volume, propagation=mode), during=lambda: mount_late(volume, crun))
    assert found == seen


def test_a_mount_that_a_privileged_container_makes_reaches_the_host_if_asked(crun: Bench, volume: Path) -> None:
    kernel.mount("none", volume, flags=kernel.MS_SHARED)
    (volume / "inner").mkdir()
    script = "mount -t tmpfs inner /v/inner && touch /v/inner/there"
    both = v1.PROPAGATION_BIDIRECTIONAL
    wanted = config(
        context(privileged=True), command=["sh", "-c", script], mounts=[bind("/v", volume, propagation=both)]
    )
    crun.stack.callback(kernel.unmount, volume / "inner")
    ended = crun.run(crun.spec(wanted, crun.sandbox(linux(privileged=True))))
    assert ended.code == 0, ended.output
    assert (volume / "inner" / "there").exists()


@pytest.mark.parametrize("mode", [v1.PROPAGATION_HOST_TO_CONTAINER, v1.PROPAGATION_BIDIRECTIONAL])
def test_a_mount_that_nobody_tells_of_new_ones_is_refused(volume: Path, mode: v1.MountPropagation) -> None:
    with pytest.raises(FailedPrecondition, match="shared"):
        check_propagation(bind("/v", volume, propagation=mode))


def test_a_volume_of_the_image_is_writable_under_a_read_only_root(crun: Bench) -> None:
    wanted = config(
        context(readonly_rootfs=True),
        command=["sh", "-c", "touch /data/x && echo written; touch /x 2>/dev/null || echo no"],
    )
    made = crun.spec(wanted, crun.sandbox(), image_config={"Volumes": {"/data": {}}})
    assert crun.run(made).output == "written\nno"


def test_a_volume_of_the_image_is_part_of_a_writable_root() -> None:
    made = spec(image=ImageFacts(volumes=("/data",)), volumes={"/data": Path("/rootfs/data")})
    assert "/data" not in [each["destination"] for each in made["mounts"]]
