"""What a container may do."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import pytest

from cri.errors import CRIError, InvalidArgument
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, number, shell, with_context

RUNTIME_DEFAULT = v1.SecurityProfile(profile_type=v1.SecurityProfile.RuntimeDefault)
UNCONFINED = v1.SecurityProfile(profile_type=v1.SecurityProfile.Unconfined)

CHOWN, NET_BIND_SERVICE, NET_ADMIN, SYS_RESOURCE, SYS_TIME, PERFMON = 0, 10, 12, 24, 25, 38
"""Numbers of capabilities, as the kernel counts them."""


async def process_status(kit: Kit, sandbox: str, **fields: object) -> Mapping[str, str]:
    """/proc/self/status of a container with this security context."""
    printed = await kit.output(sandbox, "cat", "/proc/self/status", linux=with_context(**fields))
    pairs = (line.partition(":") for line in printed.splitlines())
    return {name: value.strip() for name, _, value in pairs}


async def capabilities(kit: Kit, sandbox: str, kind: str = "CapEff", **fields: object) -> int:
    return int((await process_status(kit, sandbox, **fields))[kind], 16)


def own_capabilities() -> int:
    """What this process, and with it the host, has to give."""
    return int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16)


def has(mask: int, capability: int) -> bool:
    return bool(mask >> capability & 1)


def assert_all(mask: int) -> None:
    """``mask`` has all that the host has to give. An engine knows only the capabilities that are older than itself."""
    known = (1 << PERFMON) - 1
    assert mask & known == own_capabilities() & known
    assert mask & ~own_capabilities() == 0


@pytest.mark.needs("kernel")
async def test_a_readonly_root_cannot_be_written(kit: Kit, sandbox: str) -> None:
    """Security context: read-only rootfs."""
    script = shell("touch /new 2>/dev/null && echo written || echo refused")
    assert await kit.output(sandbox, *script, linux=with_context(readonly_rootfs=True)) == "refused\n"
    assert await kit.output(sandbox, *script, linux=with_context()) == "written\n"


@pytest.mark.needs("kernel")
async def test_a_container_has_few_capabilities_by_itself(kit: Kit, sandbox: str) -> None:
    """Security context: capabilities; privileged is not the default."""
    mask = await capabilities(kit, sandbox)
    assert has(mask, CHOWN)
    assert not has(mask, NET_ADMIN)
    assert not has(mask, SYS_TIME)


@pytest.mark.needs("kernel")
@pytest.mark.parametrize("name", ["NET_ADMIN", "CAP_NET_ADMIN"])
async def test_capabilities_are_added(kit: Kit, sandbox: str, name: str) -> None:
    """Security context: capabilities add."""
    mask = await capabilities(kit, sandbox, capabilities=v1.Capability(add_capabilities=[name]))
    assert has(mask, NET_ADMIN)
    assert has(mask, CHOWN)


@pytest.mark.needs("kernel")
async def test_capabilities_are_dropped(kit: Kit, sandbox: str) -> None:
    """Security context: capabilities drop."""
    mask = await capabilities(kit, sandbox, capabilities=v1.Capability(drop_capabilities=["CHOWN"]))
    assert not has(mask, CHOWN)
    assert has(mask, NET_BIND_SERVICE)


@pytest.mark.needs("kernel")
async def test_all_capabilities_can_be_dropped(kit: Kit, sandbox: str) -> None:
    """Security context: capabilities drop ALL."""
    assert await capabilities(kit, sandbox, capabilities=v1.Capability(drop_capabilities=["ALL"])) == 0


@pytest.mark.needs("kernel")
async def test_all_can_be_dropped_and_one_added(kit: Kit, sandbox: str) -> None:
    """Security context: capabilities add/drop/ALL: what is named goes over ALL."""
    wish = v1.Capability(drop_capabilities=["ALL"], add_capabilities=["NET_BIND_SERVICE"])
    assert await capabilities(kit, sandbox, capabilities=wish) == 1 << NET_BIND_SERVICE


@pytest.mark.needs("kernel")
async def test_all_that_the_host_has_can_be_added(kit: Kit, sandbox: str) -> None:
    """Security context: capabilities add ALL: as many as there are to give."""
    mask = await capabilities(kit, sandbox, capabilities=v1.Capability(add_capabilities=["ALL"]))
    assert_all(mask)


@pytest.mark.needs("kernel")
@pytest.mark.optional("ambient-capabilities")
async def test_ambient_capabilities_reach_a_user_that_is_not_root(kit: Kit, sandbox: str) -> None:
    """Security context: capabilities ambient."""
    wish = v1.Capability(add_ambient_capabilities=["NET_BIND_SERVICE"])
    mask = await capabilities(kit, sandbox, "CapAmb", run_as_user=number(1000), capabilities=wish)
    assert has(mask, NET_BIND_SERVICE)


async def test_an_unknown_capability_is_refused(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    wish = with_context(capabilities=v1.Capability(add_capabilities=["FLYING"]))
    with pytest.raises(InvalidArgument, match="FLYING"):
        await kit.run(sandbox, linux=wish)


@pytest.mark.needs("kernel")
async def test_a_privileged_container_may_do_what_the_host_may(kit: Kit) -> None:
    """Security context: privileged."""
    context = v1.LinuxSandboxSecurityContext(privileged=True)
    try:
        sandbox_id = await kit.sandbox(linux=v1.LinuxPodSandboxConfig(security_context=context))
        mask = await capabilities(kit, sandbox_id, privileged=True)
    except CRIError as error:
        if not has(own_capabilities(), SYS_RESOURCE) and "caps" in str(error):
            pytest.skip(f"this host withholds capabilities, and the engine cannot go without: {error.message[:120]}")
        raise
    assert_all(mask)


@pytest.mark.needs("kernel")
@pytest.mark.parametrize(
    ("profile", "mode"), [(RUNTIME_DEFAULT, "2"), (UNCONFINED, "0")], ids=["runtime-default", "unconfined"]
)
async def test_system_calls_are_filtered_or_not(kit: Kit, sandbox: str, profile: v1.SecurityProfile, mode: str) -> None:
    """Security context: seccomp RuntimeDefault / Unconfined."""
    assert (await process_status(kit, sandbox, seccomp=profile))["Seccomp"] == mode


@pytest.mark.needs("kernel")
async def test_a_filter_of_ones_own_holds(kit: Kit, sandbox: str) -> None:
    """Security context: seccomp Localhost."""
    path = kit.folder / "no-sethostname.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    native = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}.get(platform.machine())
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "architectures": [native] if native else []}
    path.write_text(json.dumps(profile))
    wish = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref=str(path))
    script = shell("mkdir /tmp/new 2>/dev/null && echo made || echo refused")
    assert await kit.output(sandbox, *script, linux=with_context(seccomp=wish)) == "refused\n"
    assert await kit.output(sandbox, *script, linux=with_context()) == "made\n"


async def test_a_local_filter_must_be_named(kit: Kit, sandbox: str) -> None:
    """Security context: seccomp Localhost."""
    wish = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost)
    with pytest.raises(InvalidArgument, match="localhost_ref"):
        await kit.create(sandbox, linux=with_context(seccomp=wish))


@pytest.mark.needs("kernel")
async def test_a_local_filter_that_is_missing_is_refused(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific, never UNKNOWN."""
    wish = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref="/no/such/profile.json")
    with pytest.raises(CRIError, match=r"/no/such/profile\.json"):
        await kit.run(sandbox, linux=with_context(seccomp=wish))


@pytest.mark.needs("kernel")
@pytest.mark.parametrize(("wish", "seen"), [(True, "1"), (False, "0")])
async def test_new_privileges_are_forbidden_when_that_is_asked_for(
    kit: Kit, sandbox: str, wish: bool, seen: str
) -> None:
    """Security context: no_new_privs."""
    assert (await process_status(kit, sandbox, no_new_privs=wish))["NoNewPrivs"] == seen


@pytest.mark.needs("kernel")
async def test_masked_paths_are_empty(kit: Kit, sandbox: str) -> None:
    """Security context: masked paths."""
    script = shell("cat /proc/version; ls /proc/bus")
    assert await kit.output(sandbox, *script, linux=with_context(masked_paths=["/proc/version", "/proc/bus"])) == ""


@pytest.mark.needs("kernel")
@pytest.mark.optional("readonly-paths")
async def test_readonly_paths_cannot_be_written(kit: Kit, sandbox: str) -> None:
    """Security context: readonly paths."""
    script = shell("touch /var/www/new 2>/dev/null && echo written || echo refused")
    assert await kit.output(sandbox, *script, linux=with_context(readonly_paths=["/var/www"])) == "refused\n"


@pytest.fixture
def device(root: None) -> str:
    """A device that no container may use by itself, and that any root may open."""
    found = next((path for path in ("/dev/loop-control", "/dev/fuse") if os.path.exists(path)), None)
    return found or pytest.skip("this host has neither /dev/loop-control nor /dev/fuse")


@pytest.mark.needs("kernel")
@pytest.mark.parametrize(("permissions", "opened"), [("r", "read"), ("rw", "read written"), ("rwm", "read written")])
async def test_a_device_of_the_host_can_be_used_as_far_as_it_is_allowed(
    kit: Kit, sandbox: str, device: str, permissions: str, opened: str
) -> None:
    """Security context: devices."""
    wish = v1.Device(host_path=device, container_path="/dev/wanted", permissions=permissions)
    script = shell("exec 2>/dev/null; (: < /dev/wanted) && echo read; (: > /dev/wanted) && echo written")
    assert (await kit.output(sandbox, *script, devices=[wish])).split() == opened.split()


@pytest.mark.needs("kernel")
async def test_a_device_that_is_missing_is_refused(kit: Kit, sandbox: str) -> None:
    """gRPC: codes are specific, never UNKNOWN."""
    device = v1.Device(host_path="/dev/no-such-device", container_path="/dev/x", permissions="rwm")
    with pytest.raises(CRIError, match="/dev/no-such-device"):
        await kit.run(sandbox, devices=[device])


@pytest.mark.needs("kernel")
async def test_the_oom_score_is_set_or_clamped_to_what_the_host_allows(kit: Kit, sandbox: str) -> None:
    """Security context: a score below the engine's own is clamped where the kernel refuses it."""
    for wish in (500, -500):
        linux = v1.LinuxContainerConfig(resources=v1.LinuxContainerResources(oom_score_adj=wish))
        seen = int(await kit.output(sandbox, "cat", "/proc/self/oom_score_adj", linux=linux))
        assert seen == wish or (wish < 0 and wish < seen <= 0)
