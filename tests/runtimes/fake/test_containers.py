"""Sandboxes and containers where only the fake can be looked at so closely. The conformance suite tests the rules."""

from __future__ import annotations

import asyncio
import os

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, PlatformMismatch, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.fake.clock import ManualClock
from runtimes.fake.images import ImageSpec
from tests.runtimes.fake.calls import Calls, settled


async def test_a_sandbox_whose_own_process_dies_is_not_ready_and_its_record_stays(calls: Calls) -> None:
    sandbox = await calls.sandbox()
    container = await calls.run("sleep", "1000", sandbox=sandbox)
    calls.runtime.kill_sandbox(sandbox)
    status = await calls.sandbox_status(sandbox)
    assert (status.state, status.network.ip) == (v1.SANDBOX_NOTREADY, "")
    assert container.running
    await calls.remove_sandbox(sandbox)
    assert not calls.runtime.world.containers


async def test_a_later_stop_with_a_shorter_timeout_shortens_the_wait(calls: Calls, clock: ManualClock) -> None:
    container = await calls.run("sh", "-c", "trap '' TERM; while true; do sleep 1; done")
    await settled()
    long = asyncio.ensure_future(calls.stop(container, 3600))
    await clock.advance(5)
    short = asyncio.ensure_future(calls.stop(container, 10))
    await clock.advance(9)
    assert not long.done()
    await clock.advance(1)
    await asyncio.gather(long, short)
    assert container.exit_code == 137


async def test_the_stop_signal_is_sent_once(calls: Calls, clock: ManualClock) -> None:
    container = await calls.run("sh", "-c", "trap 'echo told' TERM; while true; do sleep 1; done")
    await settled()
    stops = [asyncio.ensure_future(calls.stop(container, 10)) for _ in range(3)]
    await clock.advance(10)
    await asyncio.gather(*stops)
    assert [record.text for record in calls.log(container)].count(b"told") == 1


@pytest.mark.parametrize(
    ("asked", "of_image", "code"),
    [
        (v1.SIGNAL_SIGINT, "SIGQUIT", 130),
        (v1.SIGNAL_RUNTIME_DEFAULT, "SIGQUIT", 131),
        (v1.SIGNAL_RUNTIME_DEFAULT, "", 143),
    ],
)
async def test_the_stop_signal_is_the_configs_else_the_images_else_sigterm(
    calls: Calls, asked: v1.Signal, of_image: str, code: int
) -> None:
    calls.runtime.world.catalogue.declare(ImageSpec(name="told", cmd=("sleep", "1000"), stop_signal=of_image))
    await calls.pull("told")
    container = await calls.run(image="told", stop_signal=asked)
    await calls.stop(container, 10)
    assert container.exit_code == code


async def test_an_image_for_another_platform_is_refused(calls: Calls) -> None:
    calls.runtime.world.catalogue.declare(ImageSpec(name="only-arm", platforms=("linux/arm64",)))
    with pytest.raises(PlatformMismatch, match="linux/arm64"):
        await calls.pull("only-arm", platform="linux/s390x")
    assert await calls.pull("only-arm", platform="linux/arm64/v8")


@pytest.mark.parametrize(
    "wrong",
    [
        v1.LinuxContainerSecurityContext(privileged=True),
        v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(network=v1.NODE)),
        v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(ipc=v1.NODE)),
        v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(pid=v1.TARGET, target_id="none")),
        v1.LinuxContainerSecurityContext(
            namespace_options=v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.CONTAINER))
        ),
        v1.LinuxContainerSecurityContext(capabilities=v1.Capability(add_capabilities=["FLYING"])),
    ],
    ids=["privileged", "network", "ipc", "target", "user namespace", "capability"],
)
async def test_a_security_context_that_its_sandbox_does_not_allow_is_refused(
    calls: Calls, wrong: v1.LinuxContainerSecurityContext
) -> None:
    with pytest.raises(InvalidArgument, match="security_context"):
        await calls.run("true", linux=v1.LinuxContainerConfig(security_context=wrong))


async def test_a_container_sees_the_machine_of_its_image(calls: Calls) -> None:
    await calls.pull("alpine", platform="linux/arm64")
    assert (await calls.sh("uname -m", image="alpine"))[1] == "aarch64\n"


async def test_limits_that_are_not_said_stay_as_they_are(calls: Calls) -> None:
    limits = v1.LinuxContainerResources(memory_limit_in_bytes=1 << 30, cpu_shares=512)
    container = await calls.run("sleep", "1000", linux=v1.LinuxContainerConfig(resources=limits))
    change = v1.UpdateContainerResourcesRequest(
        container_id=container.id, linux=v1.LinuxContainerResources(memory_limit_in_bytes=1 << 20)
    )
    await calls.runtime.update_container_resources(change)
    seen = container.status().resources.linux
    assert (seen.memory_limit_in_bytes, seen.cpu_shares) == (1 << 20, 512)
    assert container.guest.memory_limit == 1 << 20
    await calls.stop(container)
    with pytest.raises(FailedPrecondition):
        await calls.runtime.update_container_resources(change)


async def test_the_overall_limits_of_a_sandbox_are_kept(calls: Calls) -> None:
    sandbox = await calls.sandbox()
    request = v1.UpdatePodSandboxResourcesRequest(
        pod_sandbox_id=sandbox, resources=v1.LinuxContainerResources(cpu_shares=2048)
    )
    await calls.runtime.update_pod_sandbox_resources(request)
    assert calls.runtime.world.sandbox(sandbox).config.linux.resources.cpu_shares == 2048


async def test_masked_paths_look_empty_and_read_only_ones_refuse_a_write(calls: Calls) -> None:
    security = v1.LinuxContainerSecurityContext(masked_paths=["/etc/passwd", "/home"], readonly_paths=["/var/www"])
    code, output, errors = await calls.sh(
        "cat /etc/passwd; ls /home; touch /var/www/x", linux=v1.LinuxContainerConfig(security_context=security)
    )
    assert (code, output) == (1, "")
    assert "Read-only" in errors


async def test_sysctls_and_dns_of_the_sandbox_are_seen_inside(calls: Calls) -> None:
    sandbox = await calls.sandbox(
        dns_config=v1.DNSConfig(servers=["10.0.0.1"], searches=["a", "b"], options=["ndots:5"]),
        linux=v1.LinuxPodSandboxConfig(sysctls={"net.core.somaxconn": "99"}),
    )
    _, output, _ = await calls.sh("cat /etc/resolv.conf /proc/sys/net/core/somaxconn", sandbox=sandbox)
    assert output == "nameserver 10.0.0.1\nsearch a b\noptions ndots:5\n99\n"


async def test_a_hosts_sysctl_is_refused(calls: Calls) -> None:
    with pytest.raises(InvalidArgument, match=r"kernel\.panic"):
        await calls.sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={"kernel.panic": "1"}))


async def test_an_unknown_handler_is_refused(calls: Calls) -> None:
    with pytest.raises(InvalidArgument, match="kata"):
        await calls.runtime.run_pod_sandbox(
            v1.RunPodSandboxRequest(config=calls.sandbox_config(), runtime_handler="kata")
        )


async def test_a_log_that_cannot_be_reopened_makes_no_file(calls: Calls) -> None:
    container = await calls.run("sh", "-c", "echo one; sleep 5; echo two", name="app")
    await settled()
    folder = calls.folder
    folder.rename(folder.parent / "moved")
    with pytest.raises(FailedPrecondition, match="reopened"):
        await calls.runtime.reopen_container_log(v1.ReopenContainerLogRequest(container_id=container.id))
    assert not folder.exists()
    os.rename(folder.parent / "moved", folder)


async def test_a_checkpoint_is_unimplemented_and_says_why(calls: Calls) -> None:
    with pytest.raises(Unimplemented, match="coroutines"):
        await calls.runtime.checkpoint_container(v1.CheckpointContainerRequest(container_id="x", location="/tmp/x"))


async def test_memory_that_a_program_uses_is_in_the_stats(calls: Calls, clock: ManualClock) -> None:
    limits = v1.LinuxContainerResources(memory_limit_in_bytes=100 << 20)
    container = await calls.run("sleep", "1000", linux=v1.LinuxContainerConfig(resources=limits))
    assert container.process is not None
    container.process.allocate(10 << 20)
    request = v1.ContainerStatsRequest(container_id=container.id)
    first = (await calls.runtime.container_stats(request)).stats
    assert not first.cpu.HasField("usage_nano_cores")
    assert 10 << 20 <= first.memory.working_set_bytes.value < first.memory.usage_bytes.value < 100 << 20
    assert first.memory.available_bytes.value == (100 << 20) - first.memory.working_set_bytes.value
    await clock.advance(10)
    second = (await calls.runtime.container_stats(request)).stats
    assert second.cpu.usage_nano_cores.value == pytest.approx(10_000_000, rel=0.01)


async def test_events_carry_the_sandbox_and_all_its_containers(calls: Calls) -> None:
    events = calls.runtime.get_container_events(v1.GetEventsRequest())
    sandbox = await calls.sandbox()
    container = await calls.done("true", sandbox=sandbox)
    await calls.remove_sandbox(sandbox)
    seen = [await anext(events) for _ in range(8)]
    kinds = ["CREATED", "STARTED", "CREATED", "STARTED", "STOPPED", "STOPPED", "DELETED", "DELETED"]
    assert [v1.ContainerEventType.Name(each.container_event_type).split("_")[1] for each in seen] == kinds
    whose = [sandbox, sandbox, *[container.id] * 3, sandbox, container.id, sandbox]
    assert [each.container_id for each in seen] == whose
    assert seen[4].pod_sandbox_status.id == sandbox
    assert seen[4].containers_statuses[0].reason == "Completed"
