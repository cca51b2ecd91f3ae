"""Namespaces without a process."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native import kernel
from runtimes.native.network import namespaces
from runtimes.native.network.user_namespaces import UserMap

USERS = UserMap(((0, 100000, 65536),), ((0, 200000, 65536),))

pytestmark = pytest.mark.usefixtures("root")


def inside(directory: Path, *command: str) -> str:
    """What ``command`` says in the namespaces that are pinned in ``directory``."""
    entered = [f"--{kind}={directory / kind}" for kind in ("user", "net", "ipc", "uts") if (directory / kind).exists()]
    done = subprocess.run(["nsenter", *entered, *command], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def mounts(directory: Path) -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(directory) in line]


def here() -> int:
    """The network namespace of this thread."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def is_gone(directory: Path) -> bool:
    return not directory.exists()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "ns" / "sandbox"


async def test_each_kind_is_a_new_namespace(directory: Path) -> None:
    pinned = await namespaces.create(("net", "ipc", "uts"), directory)
    try:
        for kind, path in pinned.items():
            assert path.stat().st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino
    finally:
        namespaces.remove(directory)


async def test_this_process_stays_where_it_is(directory: Path) -> None:
    before = here()
    await namespaces.create(("net",), directory)
    namespaces.remove(directory)
    assert (here(), await asyncio.to_thread(here)) == (before, before)


async def test_the_hostname_is_the_new_namespaces_own(directory: Path) -> None:
    await namespaces.create(("uts",), directory, hostname="web-0")
    assert inside(directory, "hostname") == "web-0"
    namespaces.remove(directory)
    assert os.uname().nodename != "web-0"


async def test_sysctls_are_set_in_the_new_namespaces(directory: Path) -> None:
    sysctls = {"net.core.somaxconn": "77", "kernel.shmmni": "99"}
    await namespaces.create(("net", "ipc"), directory, sysctls=sysctls)
    for name, value in sysctls.items():
        assert inside(directory, "cat", f"/proc/sys/{name.replace('.', '/')}") == value
    namespaces.remove(directory)


async def test_sysctls_of_the_interface_wait_for_it(directory: Path) -> None:
    await namespaces.create(("net",), directory, sysctls={"net.ipv4.conf.eth0.forwarding": "1"})
    namespaces.remove(directory)


async def test_a_sysctl_that_the_kernel_refuses_leaves_nothing(directory: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"net\.core\.somaxconn = 'many'"):
        await namespaces.create(("net", "ipc"), directory, sysctls={"net.core.somaxconn": "many"})
    assert mounts(directory) == []
    assert is_gone(directory)


async def test_removing_takes_the_mounts_away(directory: Path) -> None:
    await namespaces.create(("net", "ipc", "uts"), directory)
    assert len(mounts(directory)) == 3
    namespaces.remove(directory)
    assert mounts(directory) == []
    assert is_gone(directory)


async def test_removing_twice_succeeds(directory: Path) -> None:
    await namespaces.create(("net",), directory)
    namespaces.remove(directory)
    namespaces.remove(directory)


async def test_what_was_made_by_half_is_removed(directory: Path) -> None:
    await namespaces.create(("net",), directory)
    (directory / "ipc").touch()
    namespaces.remove(directory)
    assert is_gone(directory)


async def test_work_within_a_namespace_is_done_there(directory: Path) -> None:
    pinned = await namespaces.create(("net",), directory)
    there = await namespaces.within(pinned["net"], lambda: os.stat("/proc/thread-self/ns/net").st_ino)
    assert there == pinned["net"].stat().st_ino
    namespaces.remove(directory)


async def test_users_of_its_own(directory: Path) -> None:
    await namespaces.create(("net", "uts", "user"), directory, users=USERS)
    assert inside(directory, "cat", "/proc/self/uid_map").split() == ["0", "100000", "65536"]
    assert inside(directory, "cat", "/proc/self/gid_map").split() == ["0", "200000", "65536"]
    namespaces.remove(directory)


async def test_the_root_of_mapped_users_may_change_its_network(directory: Path) -> None:
    await namespaces.create(("net", "user"), directory, users=USERS)
    inside(directory, "ip", "link", "set", "lo", "up")
    namespaces.remove(directory)


async def test_hostname_and_sysctls_where_users_are_mapped(directory: Path) -> None:
    sysctls = {"net.core.somaxconn": "77", "kernel.shmmni": "99"}
    await namespaces.create(("net", "ipc", "uts", "user"), directory, hostname="web-0", sysctls=sysctls, users=USERS)
    assert inside(directory, "hostname") == "web-0"
    for name, value in sysctls.items():
        assert inside(directory, "cat", f"/proc/sys/{name.replace('.', '/')}") == value
    namespaces.remove(directory)


async def test_users_that_overlap_are_refused_and_leave_nothing(directory: Path) -> None:
    overlapping = UserMap(((0, 100000, 10), (5, 200000, 10)), USERS.gids)
    with pytest.raises(FailedPrecondition, match="uid_map"):
        await namespaces.create(("net", "user"), directory, users=overlapping)
    assert is_gone(directory)


def test_a_map_is_read_from_cri() -> None:
    mapping = [v1.IDMapping(host_id=100000, container_id=0, length=65536)]
    assert UserMap.of(v1.UserNamespace(uids=mapping, gids=mapping)).uids == USERS.uids


def test_the_host_has_the_system_call_for_another_user() -> None:
    """On the architectures that it was written for."""
    assert os.uname().machine in kernel._SETRESUID
