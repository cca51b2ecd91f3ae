"""Mounts, devices and limits of containers on a real engine, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import docker
import pytest

from cri.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.runtime import DockerRuntime
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.docker import calls
from tests.runtimes.docker.examples import linux
from tests.runtimes.docker.inside import Create, Print, context, status


async def test_a_container_on_the_host_s_ipc_sees_what_is_there(run_sandbox: RunSandbox, printed: Print) -> None:
    on_host = v1.NamespaceOption(ipc=v1.NODE)
    sandbox_id = await run_sandbox(linux=linux(namespace_options=on_host))
    inside = await printed(
        "readlink /proc/self/ns/ipc", sandbox_id=sandbox_id, security=context(namespace_options=on_host)
    )
    assert inside == os.readlink("/proc/self/ns/ipc")


async def test_a_mount_shows_the_host_s_directory_through_a_link(printed: Print, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("here")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    mount = v1.Mount(host_path=str(tmp_path / "link"), container_path="/data", readonly=True)
    found = await printed("cat /data/file; touch /data/x", mounts=[mount])
    assert "here" in found
    assert "Read-only" in found


async def test_a_mount_of_what_is_not_there_is_refused(create: Create, tmp_path: Path) -> None:
    mount = v1.Mount(host_path=str(tmp_path / "gone"), container_path="/data")
    with pytest.raises(InvalidArgument, match="gone"):
        await create("true", mounts=[mount])
    assert not (tmp_path / "gone").exists()


@pytest.mark.usefixtures("root")
async def test_a_device_is_there_with_the_access_that_was_given(printed: Print, tmp_path: Path) -> None:
    # Nothing has this number. So what is allowed fails for want of a device, and what is not, before that.
    os.mknod(tmp_path / "device", stat.S_IFCHR | 0o666, os.makedev(1, 99))
    device = v1.Device(host_path=str(tmp_path / "device"), container_path="/dev/mine", permissions="r")
    assert "No such device" in await printed("cat /dev/mine", devices=[device])


@pytest.mark.usefixtures("root")
async def test_a_device_gives_no_access_beyond_what_was_given(printed: Print, tmp_path: Path) -> None:
    os.mknod(tmp_path / "device", stat.S_IFCHR | 0o666, os.makedev(1, 99))
    device = v1.Device(host_path=str(tmp_path / "device"), container_path="/dev/mine", permissions="r")
    assert "not permitted" in await printed("echo > /dev/mine", devices=[device])


async def test_limits_stand_in_the_cgroup_and_in_the_status(
    runtime: DockerRuntime, create: Create, printed: Print
) -> None:
    limits = v1.LinuxContainerResources(
        cpu_period=100_000, cpu_quota=20_000, cpu_shares=512, memory_limit_in_bytes=64 << 20, oom_score_adj=500
    )
    limits.unified["pids.max"] = "50"
    container_id = await create("cat /proc/self/oom_score_adj", resources=limits)
    found = (await status(runtime, container_id)).resources.linux
    assert (found.cpu_quota, found.memory_limit_in_bytes, found.oom_score_adj) == (20_000, 64 << 20, 500)
    assert found.unified["pids.max"] == "50"


async def test_the_most_important_process_gets_as_important_as_it_can(printed: Print) -> None:
    limits = v1.LinuxContainerResources(oom_score_adj=-1000)
    assert int(await printed("cat /proc/self/oom_score_adj", resources=limits)) <= 0


async def test_a_container_starts_with_the_huge_page_limits_of_the_kubelet(printed: Print) -> None:
    zeros = [v1.HugepageLimit(page_size=size, limit=0) for size in ("2MB", "1GB")]
    assert await printed("echo yes", resources=v1.LinuxContainerResources(hugepage_limits=zeros)) == "yes"


async def test_a_container_does_not_run_without_a_limit_that_cannot_be_set(
    runtime: DockerRuntime, create: Create
) -> None:
    no_such_size = v1.HugepageLimit(page_size="3MB", limit=1 << 30)
    container_id = await create("sleep 1000", resources=v1.LinuxContainerResources(hugepage_limits=[no_such_size]))
    with pytest.raises(FailedPrecondition, match="cgroup file"):
        await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    assert (await status(runtime, container_id)).state == v1.CONTAINER_EXITED


async def test_an_update_changes_the_limits_of_a_running_container(runtime: DockerRuntime, create: Create) -> None:
    container_id = await create(
        "sleep 1000", resources=v1.LinuxContainerResources(memory_limit_in_bytes=64 << 20, cpu_shares=512)
    )
    await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    more = v1.LinuxContainerResources(memory_limit_in_bytes=128 << 20, unified={"pids.max": "77"})
    await runtime.update_container_resources(v1.UpdateContainerResourcesRequest(container_id=container_id, linux=more))
    found = (await status(runtime, container_id)).resources.linux
    assert (found.memory_limit_in_bytes, found.cpu_shares, found.unified["pids.max"]) == (128 << 20, 512, "77")
    stats = (await runtime.container_stats(v1.ContainerStatsRequest(container_id=container_id))).stats
    assert 127 << 20 < stats.memory.available_bytes.value <= 128 << 20


async def test_an_update_that_docker_refuses_is_an_invalid_argument(runtime: DockerRuntime, create: Create) -> None:
    container_id = await create("sleep 1000")
    tiny = v1.LinuxContainerResources(memory_limit_in_bytes=4096)
    with pytest.raises((InvalidArgument, FailedPrecondition), match="memory"):
        await runtime.update_container_resources(
            v1.UpdateContainerResourcesRequest(container_id=container_id, linux=tiny)
        )


async def test_an_update_of_an_ended_or_unknown_container_is_refused(
    runtime: DockerRuntime, create: Create, engine_client: docker.DockerClient
) -> None:
    container_id = await create("true")
    await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    await asyncio.to_thread(engine_client.containers.get(container_id).wait)
    limits = v1.LinuxContainerResources(cpu_shares=7)
    with pytest.raises(FailedPrecondition, match="ended"):
        await runtime.update_container_resources(
            v1.UpdateContainerResourcesRequest(container_id=container_id, linux=limits)
        )
    with pytest.raises(NotFound):
        await runtime.update_container_resources(
            v1.UpdateContainerResourcesRequest(container_id="unknown", linux=limits)
        )


async def test_what_the_engine_cannot_do_is_refused_and_leaves_nothing(
    runtime: DockerRuntime, create: Create, run_sandbox: RunSandbox
) -> None:
    sandbox_id = await run_sandbox()
    mount = v1.Mount(container_path="/data", host_path="/", mount_options=["noexec"])
    with pytest.raises(Unimplemented):
        await create("true", sandbox_id, mounts=[mount])
    assert await calls.listed(runtime) == [sandbox_id]
    assert not (await runtime.list_containers(v1.ListContainersRequest())).containers


async def test_the_runtime_announces_that_groups_can_be_strict(runtime: DockerRuntime) -> None:
    assert (await runtime.status(v1.StatusRequest())).features.supplemental_groups_policy
