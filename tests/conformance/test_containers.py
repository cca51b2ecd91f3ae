"""What a container is and says, from create to removal; how it ended; its limits."""

from __future__ import annotations

import time

import pytest

from cri.errors import CRIError, FailedPrecondition, InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import ODD, Kit, shell


async def test_a_created_container_has_not_started(kit: Kit, sandbox: str) -> None:
    """Ids and lists: started_at is 0 while CREATED, finished_at 0 until exit."""
    status = await kit.status(await kit.create(sandbox))
    assert status.state == v1.CONTAINER_CREATED
    assert (status.started_at, status.finished_at) == (0, 0)


async def test_a_running_container_has_not_finished(kit: Kit, sandbox: str) -> None:
    """Ids and lists: finished_at 0 until exit."""
    status = await kit.status(await kit.run(sandbox))
    assert status.state == v1.CONTAINER_RUNNING
    assert status.started_at > 0
    assert status.finished_at == 0


async def test_timestamps_are_nanoseconds_and_in_order(kit: Kit, sandbox: str) -> None:
    """Ids and lists: timestamps are nanoseconds."""
    before = time.time_ns()
    status = await kit.exited(await kit.run(sandbox, "true"))
    assert before <= status.created_at <= status.started_at <= status.finished_at <= time.time_ns()


async def test_the_status_has_what_is_required(kit: Kit, sandbox: str) -> None:
    """Ids and lists: container status needs created_at, image, image_ref."""
    metadata = v1.ContainerMetadata(name=kit.fresh("container"), attempt=2)
    container_id = await kit.create(sandbox, metadata=metadata)
    status = await kit.status(container_id)
    assert status.id == container_id
    assert status.metadata == metadata
    assert status.created_at > 0
    assert status.image.image
    assert status.image_ref


async def test_the_image_of_a_container_is_the_images_id(kit: Kit, sandbox: str) -> None:
    """Images: Image.id == Container.image_id == ContainerStatus.image_id."""
    container_id = await kit.create(sandbox)
    image_id = (await kit.image_status(kit.image)).id
    (item,) = await kit.containers(id=container_id)
    assert [item.image_id, (await kit.status(container_id)).image_id] == [image_id] * 2


async def test_list_and_status_agree(kit: Kit, sandbox: str) -> None:
    """Ids and lists: what a list says of a container is what its status says."""
    container_id = await kit.run(sandbox, annotations={"a": "b"})
    status = await kit.status(container_id)
    (item,) = await kit.containers(id=container_id)
    assert item.pod_sandbox_id == sandbox
    for field in ("id", "metadata", "state", "created_at", "labels", "annotations", "image", "image_ref", "image_id"):
        assert getattr(item, field) == getattr(status, field), field


async def test_labels_and_annotations_come_back_unaltered(kit: Kit, sandbox: str) -> None:
    """Ids and lists: labels and annotations come back unaltered."""
    config = kit.container_config(labels=ODD, annotations=ODD)
    status = await kit.status(await kit.create_container(sandbox, config))
    assert dict(status.labels) == dict(config.labels)
    assert dict(status.annotations) == dict(config.annotations)


async def test_a_container_that_exits_with_zero_completed(kit: Kit, sandbox: str) -> None:
    """Reasons: Completed (exit 0)."""
    status = await kit.exited(await kit.run(sandbox, "true"))
    assert (status.exit_code, status.reason) == (0, "Completed")


@pytest.mark.parametrize("code", [1, 42, 255])
async def test_a_container_that_exits_with_another_code_is_in_error(kit: Kit, sandbox: str, code: int) -> None:
    """Reasons: Error (other)."""
    status = await kit.exited(await kit.run(sandbox, *shell(f"exit {code}")))
    assert (status.exit_code, status.reason) == (code, "Error")


async def test_a_container_that_is_killed_is_in_error(kit: Kit, sandbox: str) -> None:
    """Reasons: Error (other); 137 alone is not OOMKilled."""
    container_id = await kit.run(sandbox)
    await kit.stop(container_id)
    status = await kit.status(container_id)
    assert (status.exit_code, status.reason) == (137, "Error")


@pytest.mark.needs("kernel")
async def test_a_container_that_eats_its_memory_is_oom_killed(kit: Kit, sandbox: str) -> None:
    """Reasons: OOMKilled (137 and the cgroup's oom counter, read before the cgroup goes).

    It begins to eat when it is told to: an engine may miss what happens before its start has returned.
    """
    limits = v1.LinuxContainerResources(memory_limit_in_bytes=64 << 20, memory_swap_limit_in_bytes=64 << 20)
    script = shell("until [ -e /tmp/eat ]; do sleep 0.05; done; exec tail /dev/zero")
    container_id = await kit.run(sandbox, *script, linux=v1.LinuxContainerConfig(resources=limits))
    await kit.exec(container_id, "touch", "/tmp/eat")
    status = await kit.exited(container_id)
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


async def test_command_and_arguments_are_run_as_given(kit: Kit, sandbox: str) -> None:
    """Ids and lists: command takes the place of the image's entrypoint, args that of its command."""
    script = 'for word in "$@"; do echo "<$word>"; done'
    words = ["one word", "", "$HOME", "*", "quo'te"]
    printed = await kit.output(sandbox, command=["sh", "-c", script, "name"], args=words)
    assert printed.splitlines() == [f"<{word}>" for word in words]


async def test_the_images_own_command_runs_when_none_is_given(kit: Kit, sandbox: str) -> None:
    """Ids and lists: an absent command is the image's."""
    config = kit.container_config()
    config.ClearField("command")
    container_id = await kit.create_container(sandbox, config)
    await kit.start(container_id)
    assert (await kit.exited(container_id)).exit_code == 0


async def test_the_environment_is_set(kit: Kit, sandbox: str) -> None:
    """Ids and lists: what was asked for is what runs; bytes that are no text too."""
    envs = [v1.KeyValue(key="GREETING", value=b"hello = \xc3\xbc 'x'"), v1.KeyValue(key="EMPTY", value=b"")]
    printed = await kit.output(sandbox, *shell('echo "$GREETING|${EMPTY-unset}"'), envs=envs)
    assert printed == "hello = ü 'x'|\n"


async def test_the_working_directory_is_set(kit: Kit, sandbox: str) -> None:
    """Ids and lists: what was asked for is what runs."""
    assert await kit.output(sandbox, "pwd", working_dir="/tmp") == "/tmp\n"


async def test_a_container_starts_once(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION."""
    container_id = await kit.run(sandbox)
    with pytest.raises(FailedPrecondition):
        await kit.start(container_id)


async def test_an_exited_container_does_not_start_again(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION."""
    container_id = await kit.run(sandbox, "true")
    await kit.exited(container_id)
    with pytest.raises(FailedPrecondition):
        await kit.start(container_id)


async def test_starting_an_unknown_container_is_not_found(kit: Kit) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await kit.start("0" * 64)


async def test_creating_in_an_unknown_sandbox_is_not_found(kit: Kit) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await kit.create("0" * 64)


async def test_creating_from_a_missing_image_is_not_found(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: NOT_FOUND. CreateContainer does not pull."""
    with pytest.raises(NotFound):
        await kit.create(sandbox, image=v1.ImageSpec(image="localhost/no/such:image"))


async def test_a_container_needs_a_name(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgument, match="name"):
        await kit.create_container(sandbox, kit.container_config(metadata=v1.ContainerMetadata()))


async def test_a_command_that_does_not_exist_fails_the_start(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific, never UNKNOWN; the container has exited, and nothing runs."""
    container_id = await kit.create(sandbox, "/no/such/program")
    with pytest.raises(CRIError, match="/no/such/program") as raised:
        await kit.start(container_id)
    assert isinstance(raised.value, InvalidArgument | FailedPrecondition | NotFound)
    assert (await kit.status(container_id)).state != v1.CONTAINER_RUNNING


async def test_verbose_status_tells_more(kit: Kit, running: str) -> None:
    """Ids and lists: `verbose` is answered with information, and only `verbose` is."""
    asked = [v1.ContainerStatusRequest(container_id=running, verbose=verbose) for verbose in (False, True)]
    terse, verbose = [await kit.runtime.container_status(each) for each in asked]
    assert not terse.info
    assert verbose.info


async def test_the_status_names_the_log_in_full(kit: Kit) -> None:
    """Logs: log directory from the sandbox, path from the container."""
    directory = str(kit.folder / kit.fresh("logs"))
    sandbox_id = await kit.sandbox(log_directory=directory)
    container_id = await kit.create(sandbox_id, log_path="web/0.log")
    assert (await kit.status(container_id)).log_path == f"{directory}/web/0.log"


@pytest.mark.needs("kernel")
async def test_limits_hold_in_the_cgroup(kit: Kit, sandbox: str) -> None:
    """Stats: limit; what was asked for is what the kernel enforces."""
    limits = v1.LinuxContainerResources(memory_limit_in_bytes=64 << 20)
    files = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    printed = await kit.output(sandbox, *shell(files), linux=v1.LinuxContainerConfig(resources=limits))
    assert int(printed) == 64 << 20


async def test_limits_come_back_in_the_status(kit: Kit, sandbox: str) -> None:
    """Stats: limit; the kubelet compares the status with what it asked for."""
    limits = v1.LinuxContainerResources(
        memory_limit_in_bytes=64 << 20, cpu_shares=512, cpu_quota=50000, cpu_period=100000
    )
    container_id = await kit.run(sandbox, linux=v1.LinuxContainerConfig(resources=limits))
    seen = (await kit.status(container_id)).resources.linux
    for field in ("memory_limit_in_bytes", "cpu_shares", "cpu_quota", "cpu_period"):
        assert getattr(seen, field) == getattr(limits, field), field


@pytest.mark.optional("update-resources")
async def test_limits_can_be_changed_while_it_runs(kit: Kit, sandbox: str) -> None:
    """Stats: limit; UpdateContainerResources changes it in place."""
    limits = v1.LinuxContainerResources(memory_limit_in_bytes=64 << 20, cpu_shares=512)
    container_id = await kit.run(sandbox, linux=v1.LinuxContainerConfig(resources=limits))
    wanted = v1.LinuxContainerResources(memory_limit_in_bytes=96 << 20, cpu_shares=256)
    request = v1.UpdateContainerResourcesRequest(container_id=container_id, linux=wanted)
    await kit.runtime.update_container_resources(request)
    seen = (await kit.status(container_id)).resources.linux
    assert (seen.memory_limit_in_bytes, seen.cpu_shares) == (96 << 20, 256)


@pytest.mark.optional("update-resources")
async def test_limits_of_an_unknown_container_are_not_found(kit: Kit) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await kit.runtime.update_container_resources(
            v1.UpdateContainerResourcesRequest(container_id="0" * 64, linux=v1.LinuxContainerResources(cpu_shares=2))
        )


async def test_the_stop_signal_comes_back_in_the_status(kit: Kit, sandbox: str) -> None:
    """Stop: the image's or the config's stop signal."""
    asked, usual = await kit.create(sandbox, stop_signal=v1.SIGNAL_SIGUSR1), await kit.create(sandbox)
    assert (await kit.status(asked)).stop_signal == v1.SIGNAL_SIGUSR1
    assert (await kit.status(usual)).stop_signal in (v1.SIGNAL_SIGTERM, v1.SIGNAL_RUNTIME_DEFAULT)
