"""Images whose files are traps: links that lead to the host, where the engine or the runtime is about to write."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import inside
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import config, context


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host that nothing may come into."""
    found = tmp_path / "host"
    found.mkdir()
    return found


def link(root: Path, path: str, target: Path | str) -> None:
    """Put a symbolic link in the place of what the root has there."""
    place = root / path
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def climbing(target: Path) -> str:
    """``target`` by more ``..`` than any root is deep."""
    return "../" * 20 + str(target).lstrip("/")


@pytest.mark.parametrize("how", [str, climbing])
def test_a_mounts_target_behind_a_link_stays_in_the_root(either: Bench, host: Path, tmp_path: Path, how: type) -> None:
    link(either.rootfs, "trap", how(host))
    source = tmp_path / "source"
    source.mkdir()
    wanted = config(command=["true"], mounts=[v1.Mount(container_path="/trap/below", host_path=str(source))])
    either.run(either.spec(wanted, either.sandbox()))
    assert os.listdir(host) == []


@pytest.mark.parametrize("path", ["etc/hosts", "etc/resolv.conf", "etc/hostname"])
def test_a_sandboxs_file_behind_a_link_stays_in_the_root(either: Bench, host: Path, path: str) -> None:
    link(either.rootfs, path, host / "made")
    either.run(either.spec(config(command=["true"]), either.sandbox()))
    assert os.listdir(host) == []


@pytest.mark.parametrize("path", ["proc", "dev", "sys"])
def test_a_link_in_the_place_of_a_kernels_file_system_is_refused(either: Bench, host: Path, path: str) -> None:
    link(either.rootfs, path, host)
    with pytest.raises(FailedPrecondition, match=f"/{path}"):
        either.spec(config(command=["true"]), either.sandbox())


@pytest.mark.parametrize("path", ["dev/shm", "dev/pts", "dev/null", "dev/console", "proc/sys", "sys/fs/cgroup"])
def test_a_link_below_a_kernels_file_system_stays_in_the_root(either: Bench, host: Path, path: str) -> None:
    link(either.rootfs, path, host)
    either.run(either.spec(config(command=["true"]), either.sandbox()))
    assert os.listdir(host) == []


@pytest.mark.parametrize("how", [str, climbing])
def test_a_working_directory_behind_a_link_is_made_in_the_root(either: Bench, host: Path, how: type) -> None:
    link(either.rootfs, "trap", how(host))
    with pytest.raises(FailedPrecondition, match="working_dir"):
        either.spec(config(working_dir="/trap/below"), either.sandbox())
    assert os.listdir(host) == []


@pytest.mark.parametrize("path", ["/proc/self/fd/8", "/proc/1/cwd", "/there"])
def test_a_working_directory_in_proc_is_refused(either: Bench, path: str) -> None:
    (either.rootfs / "proc/self/fd/7").mkdir(parents=True)
    link(either.rootfs, "there", "/proc/self/fd/7")
    with pytest.raises(InvalidArgument, match="working_dir"):
        either.spec(config(working_dir=path), either.sandbox())


def test_accounts_are_read_in_the_root_only(either: Bench, host: Path) -> None:
    (host / "passwd").write_text("spy:x:0:0:::\n")
    link(either.rootfs, "etc/passwd", host / "passwd")
    with pytest.raises(InvalidArgument, match="spy"):
        either.spec(config(context(run_as_username="spy")), either.sandbox())


@pytest.mark.parametrize("kind", ["pipe", "directory", "loop", "device"])
def test_accounts_that_are_no_file_are_none(tmp_path: Path, kind: str) -> None:
    trap = tmp_path / "passwd"
    match kind:
        case "pipe":
            os.mkfifo(trap)
        case "directory":
            trap.mkdir()
        case "loop":
            trap.symlink_to("passwd")
        case "device":
            trap.symlink_to("/dev/zero")
    with inside.root(tmp_path) as root:
        assert inside.read(root, "passwd", 10) == b""


def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_bytes(b"x" * 100)
    with inside.root(tmp_path) as root:
        assert inside.read(root, "/passwd", 10) == b"x" * 10


def test_a_volume_behind_a_link_is_made_in_the_root(tmp_path: Path, host: Path) -> None:
    filled = tmp_path / "root"
    (filled / "srv").mkdir(parents=True)
    link(filled, "data", "/srv")
    with inside.root(filled) as root:
        assert inside.make_directory(root, "/data/here") == filled / "srv" / "here"


def test_a_file_in_the_way_of_a_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with inside.root(tmp_path) as root, pytest.raises(FileExistsError):
        inside.make_directory(root, "/file/below")
