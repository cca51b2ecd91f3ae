"""What is made read-only by us, as libpod's API has no word for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman import read_only
from runtimes.podman.runtime import PodmanRuntime
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.podman.examples import facts, linux, own_users
from tests.runtimes.pods import Pod

WRITE = "touch {0}/new 2>/dev/null && echo written || echo refused"


def context(*paths: str, **fields: Any) -> v1.LinuxContainerSecurityContext:
    return v1.LinuxContainerSecurityContext(readonly_paths=paths, **fields)


def security(*paths: str) -> v1.LinuxContainerConfig:
    return v1.LinuxContainerConfig(security_context=context(*paths))


async def printed(pod: Pod, script: str, **fields: Any) -> list[bytes]:
    await pod.exited(await pod.run(script, **fields))
    return pod.texts()


def config(*paths: str, mounts: Sequence[v1.Mount] = (), **fields: Any) -> v1.ContainerConfig:
    linux = v1.LinuxContainerConfig(security_context=context(*paths, **fields))
    return v1.ContainerConfig(linux=linux, mounts=mounts)


def mount(place: str, *, recursive: bool = False, host: Path | str = "/h", readonly: bool = True) -> v1.Mount:
    return v1.Mount(host_path=str(host), container_path=place, readonly=readonly, recursive_read_only=recursive)


def test_only_what_podman_does_not_do_itself_is_left_to_do() -> None:
    assert not read_only.wanted(config("/proc/sys", mounts=[mount("/a")]))
    assert read_only.wanted(config("/proc/sys", "/var")).paths == ("/var",)
    assert not read_only.wanted(config("/var", privileged=True))
    mounts = [mount("/a", recursive=True), mount("/a/b")]
    assert read_only.wanted(config(mounts=mounts)) == ((), ("/a",), ("/a/b",))


@pytest.mark.parametrize("asked", [config("/var"), config(mounts=[mount("/a", recursive=True)])])
def test_they_are_refused_where_the_container_is_out_of_reach(asked: v1.ContainerConfig) -> None:
    rootless = facts(security={"rootless": True})
    read_only.check(config("/proc/sys"), rootless, is_local=False)
    for engine, is_local in ((rootless, True), (facts(), False)):
        with pytest.raises(Unimplemented, match="read-only"):
            read_only.check(asked, engine, is_local=is_local)


def test_a_tree_covers_what_is_mounted_below_it_but_not_what_was_asked_for_there() -> None:
    points = ("/", "/a", "/a/own", "/a/own/below", r"/a/two\040words", "/ab", "/a/own/tree/x")
    mountinfo = "".join(f"1 2 0:3 / {point} rw - tmpfs tmpfs rw\n" for point in points)
    assert read_only.covered(mountinfo, ["/a", "/a/own/tree"], ["/a/own"]) == ["/a", "/a/two words", "/a/own/tree/x"]


async def test_nobody_in_the_container_can_write_there(pod: Pod) -> None:
    container_id = await pod.run(f"{WRITE.format('/tmp')}; exec sleep 600", linux=security("/tmp"))
    await pod.logged(b"refused")
    command = v1.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", WRITE.format("/tmp")])
    assert (await pod.runtime.exec_sync(command)).stdout == b"refused\n"


async def test_a_path_that_is_not_there_is_passed_over(pod: Pod) -> None:
    script = WRITE.format("/tmp")
    assert await printed(pod, script, linux=security("/none", "/etc/passwd/none", "/tmp")) == [b"refused"]


async def test_what_else_a_mount_forbids_stays_forbidden(pod: Pod) -> None:
    (line,) = await printed(pod, "grep ' /dev/shm ' /proc/mounts | tail -n 1", linux=security("/dev/shm"))
    assert {b"ro", b"nosuid", b"nodev", b"noexec"} <= set(line.split()[3].split(b","))


async def test_a_mount_below_a_read_only_tree_may_be_written_when_that_was_asked_for(pod: Pod, tmp_path: Path) -> None:
    for folder in ("tree/inner", "own"):
        (tmp_path / folder).mkdir(parents=True)
    mounts = [
        mount("/mnt", recursive=True, host=tmp_path / "tree"),
        mount("/mnt/inner", host=tmp_path / "own", readonly=False),
    ]
    script = f"{WRITE.format('/mnt')}; {WRITE.format('/mnt/inner')}"
    assert await printed(pod, script, mounts=mounts) == [b"refused", b"written"]


async def test_they_hold_in_a_sandbox_with_users_of_its_own(
    runtime: PodmanRuntime, run_sandbox: RunSandbox, tmp_path: Path
) -> None:
    own = linux(namespace_options=own_users())
    pod = Pod(runtime, tmp_path, await run_sandbox(linux=own, log_directory=str(tmp_path)))
    users = security("/var")
    users.security_context.namespace_options.CopyFrom(own_users())
    assert await printed(pod, WRITE.format("/var"), linux=users) == [b"refused"]


async def test_a_container_whose_paths_cannot_be_protected_does_not_start(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted", "setns")

    monkeypatch.setattr(read_only, "_mount_inside", refuse)
    container_id = await pod.create("touch /tmp/started", linux=security("/tmp"))
    with pytest.raises(FailedPrecondition, match="setns"):
        await pod.start(container_id)
    status = await pod.status(container_id)
    assert (status.state, status.reason) == (v1.CONTAINER_EXITED, "StartError")
    await pod.remove(container_id)
