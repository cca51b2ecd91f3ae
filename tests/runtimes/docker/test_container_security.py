"""Users, capabilities, profiles and namespaces of containers on a real engine, seen from inside."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest

from cri.errors import InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.docker.runtime import DockerRuntime
from tests.host.images import BUSYBOX
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.docker.inside import Create, Print, context, number, status

CAPABILITIES = "grep Cap /proc/self/status"


def of_this_process() -> int:
    """The capabilities that the tests run with, which the engine cannot exceed here."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapEff")).split()[1], 16)


async def test_a_process_runs_as_the_user_and_group_that_were_asked_for(printed: Print) -> None:
    assert await printed("id -u; id -g; id -G", security=context(run_as_user=number(7), run_as_group=number(8))) == (
        "7\n8\n8"
    )


async def test_a_user_name_is_looked_up_in_the_image(printed: Print) -> None:
    assert await printed("id -u", security=context(run_as_username="nobody")) == "65534"


async def test_a_user_name_that_the_image_has_not_is_refused_at_once(create: Create) -> None:
    with pytest.raises(InvalidArgument, match="nobody-here"):
        await create("id", security=context(run_as_username="nobody-here"))


async def test_groups_are_merged_with_those_of_the_image_unless_strict(printed: Print, run_sandbox: RunSandbox) -> None:
    asked = context(run_as_username="user", supplemental_groups=[1234])
    assert await printed("id -G", security=asked) == "1000 50 1234"
    asked.supplemental_groups_policy = v1.Strict
    assert await printed("id -G", security=asked, sandbox_id=await run_sandbox("strict")) == "1000 1234"


async def test_the_status_says_who_the_process_is(runtime: DockerRuntime, create: Create) -> None:
    container_id = await create("id", security=context(run_as_username="user", supplemental_groups=[1234]))
    assert (await status(runtime, container_id)).user.linux == v1.LinuxContainerUser(
        uid=1000, gid=1000, supplemental_groups=[1000, 1234, 50]
    )


async def test_reading_the_accounts_of_an_image_leaves_nothing_behind(
    runtime: DockerRuntime, create: Create, engine_client: docker.DockerClient
) -> None:
    await create("id")
    left = engine_client.containers.list(all=True, filters={"label": "minicri.io/kind=accounts"})
    assert left == []


async def test_a_read_only_root_cannot_be_written(printed: Print) -> None:
    assert "Read-only" in await printed("touch /x", security=context(readonly_rootfs=True))


async def test_capabilities_are_added_and_dropped(printed: Print) -> None:
    nothing = v1.Capability(drop_capabilities=["ALL"])
    assert "CapEff:\t0000000000000000" in await printed(CAPABILITIES, security=context(capabilities=nothing))


async def test_one_capability_can_be_all_there_is(printed: Print) -> None:
    only = v1.Capability(add_capabilities=["KILL"], drop_capabilities=["ALL"])
    assert "CapEff:\t0000000000000020" in await printed(CAPABILITIES, security=context(capabilities=only))


async def test_all_capabilities_are_those_that_the_engine_has(printed: Print) -> None:
    every = v1.Capability(add_capabilities=["ALL"])
    inside = int((await printed("grep CapEff /proc/self/status", security=context(capabilities=every))).split()[1], 16)
    assert inside & of_this_process() == inside
    assert inside.bit_count() >= 36


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        (None, "0"),
        (v1.SecurityProfile(profile_type=v1.SecurityProfile.Unconfined), "0"),
        (v1.SecurityProfile(profile_type=v1.SecurityProfile.RuntimeDefault), "2"),
    ],
    ids=["none", "unconfined", "default"],
)
async def test_system_calls_are_filtered_as_asked(
    printed: Print, profile: v1.SecurityProfile | None, mode: str
) -> None:
    found = await printed("grep Seccomp: /proc/self/status", security=context(seccomp=profile))
    assert found == f"Seccomp:\t{mode}"


async def test_a_profile_of_this_host_filters_what_it_names(printed: Print, tmp_path: Path) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    path = tmp_path / "no-mkdir.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    profile = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref=str(path))
    assert "not permitted" in await printed("mkdir /x", security=context(seccomp=profile))


async def test_no_new_privileges_holds_inside(printed: Print) -> None:
    script = "grep NoNewPrivs /proc/self/status"
    assert (await printed(script, security=context(no_new_privs=True))).endswith("1")


async def test_masked_paths_are_empty_and_read_only_ones_not_writable(printed: Print) -> None:
    security = context(masked_paths=["/etc/passwd"], readonly_paths=["/tmp"])
    assert "Read-only" in await printed("cat /etc/passwd; touch /tmp/x", security=security)


async def test_containers_of_a_sandbox_see_each_other_s_processes_when_they_share_them(printed: Print) -> None:
    shared = context(namespace_options=v1.NamespaceOption(pid=v1.POD))
    assert "pause" in await printed("cat /proc/1/cmdline", security=shared)


async def test_a_container_with_processes_of_its_own_is_the_first(printed: Print) -> None:
    own = context(namespace_options=v1.NamespaceOption(pid=v1.CONTAINER))
    assert await printed("echo $$", security=own) == "1"


async def test_a_container_may_see_the_processes_of_another(
    runtime: DockerRuntime, run_sandbox: RunSandbox, create: Create, printed: Print
) -> None:
    sandbox_id = await run_sandbox()
    own = v1.NamespaceOption(pid=v1.CONTAINER)
    target = await create("sleep 1000", sandbox_id, context(namespace_options=own))
    await runtime.start_container(v1.StartContainerRequest(container_id=target))
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="looker"), image=v1.ImageSpec(image=BUSYBOX), command=["true"]
    )
    config.linux.security_context.namespace_options.pid = v1.TARGET
    config.linux.security_context.namespace_options.target_id = target
    request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config)
    await runtime.create_container(request)
    elsewhere = v1.CreateContainerRequest(pod_sandbox_id=await run_sandbox("other"), config=config)
    with pytest.raises(InvalidArgument, match="another sandbox"):
        await runtime.create_container(elsewhere)
    config.linux.security_context.namespace_options.target_id = "nobody"
    with pytest.raises(NotFound):
        await runtime.create_container(v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config))
