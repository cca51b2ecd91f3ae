"""Whose processes, memory, network and settings a sandbox's containers see."""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import HOLD, Kit

pytestmark = pytest.mark.needs("kernel")


def linux(**options: object) -> v1.LinuxPodSandboxConfig:
    namespaces = v1.NamespaceOption(**options)  # type: ignore[arg-type]
    return v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(namespace_options=namespaces))


def member(**options: object) -> v1.LinuxContainerConfig:
    namespaces = v1.NamespaceOption(**options)  # type: ignore[arg-type]
    return v1.LinuxContainerConfig(security_context=v1.LinuxContainerSecurityContext(namespace_options=namespaces))


async def namespace(kit: Kit, sandbox_id: str, kind: str, config: v1.LinuxContainerConfig | None = None) -> str:
    return (await kit.output(sandbox_id, "readlink", f"/proc/self/ns/{kind}", linux=config)).strip()


@pytest.mark.parametrize("kind", ["net", "ipc"])
async def test_containers_of_one_sandbox_share_a_namespace(kit: Kit, sandbox: str, kind: str) -> None:
    """Sandbox: namespace options: pod for ipc and network."""
    own = linux().security_context.namespace_options
    assert own.network == v1.POD
    seen = {await namespace(kit, sandbox, kind) for _ in range(2)}
    assert len(seen) == 1
    assert seen != {os.readlink(f"/proc/self/ns/{kind}")}


@pytest.mark.parametrize(("kind", "field"), [("net", "network"), ("ipc", "ipc")])
async def test_a_sandbox_of_the_node_shares_its_namespace(kit: Kit, kind: str, field: str) -> None:
    """Sandbox: namespace options: node for ipc and network."""
    sandbox_id = await kit.sandbox(linux=linux(**{field: v1.NODE}))
    assert await namespace(kit, sandbox_id, kind, member(**{field: v1.NODE})) == os.readlink(f"/proc/self/ns/{kind}")


async def test_a_container_has_processes_of_its_own(kit: Kit, sandbox: str) -> None:
    """Sandbox: namespace options: container for pid."""
    assert (await kit.output(sandbox, "sh", "-c", "echo $$", linux=member(pid=v1.CONTAINER))).strip() == "1"


async def test_containers_that_share_the_pods_processes_see_each_other(kit: Kit) -> None:
    """Sandbox: namespace options: pod for pid."""
    sandbox_id = await kit.sandbox(linux=linux(pid=v1.POD))
    await kit.run(sandbox_id, "sleep", "86399", linux=member(pid=v1.POD))
    assert "sleep 86399" in await kit.output(sandbox_id, "ps", linux=member(pid=v1.POD))


async def test_a_container_of_the_nodes_processes_sees_the_node(kit: Kit) -> None:
    """Sandbox: namespace options: node for pid."""
    sandbox_id = await kit.sandbox(linux=linux(pid=v1.NODE))
    assert await namespace(kit, sandbox_id, "pid", member(pid=v1.NODE)) == os.readlink("/proc/self/ns/pid")


async def test_a_container_that_targets_another_sees_its_processes(kit: Kit, sandbox: str) -> None:
    """Sandbox: namespace options: target for pid."""
    target = await kit.run(sandbox, *HOLD, linux=member(pid=v1.CONTAINER))
    seen = await kit.output(sandbox, "ps", linux=member(pid=v1.TARGET, target_id=target))
    assert " ".join(HOLD) in seen


async def test_a_target_must_be_named(kit: Kit, sandbox: str) -> None:
    """Sandbox: namespace options: target for pid."""
    with pytest.raises(InvalidArgument, match="target_id"):
        await kit.create(sandbox, linux=member(pid=v1.TARGET))


async def test_the_status_says_the_namespaces(kit: Kit) -> None:
    """Sandbox: namespace options come back in the status."""
    sandbox_id = await kit.sandbox(linux=linux(pid=v1.CONTAINER, ipc=v1.NODE))
    options = (await kit.sandbox_status(sandbox_id)).linux.namespaces.options
    assert (options.network, options.pid, options.ipc) == (v1.POD, v1.CONTAINER, v1.NODE)


@pytest.mark.optional("user-namespaces")
async def test_a_sandbox_can_have_users_of_its_own(kit: Kit) -> None:
    """Sandbox: user namespaces where the engine can."""
    mapping = v1.IDMapping(container_id=0, host_id=100000, length=65536)
    users = v1.UserNamespace(mode=v1.POD, uids=[mapping], gids=[mapping])
    sandbox_id = await kit.sandbox(linux=linux(userns_options=users))
    assert (await kit.output(sandbox_id, "cat", "/proc/self/uid_map")).split() == ["0", "100000", "65536"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("net.ipv4.ip_unprivileged_port_start", "42"), ("kernel.shm_rmid_forced", "1")],
)
async def test_a_safe_sysctl_holds_inside(kit: Kit, name: str, value: str) -> None:
    """Sandbox: sysctls safe and unsafe."""
    sandbox_id = await kit.sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={name: value}))
    assert (await kit.output(sandbox_id, "cat", "/proc/sys/" + name.replace(".", "/"))).strip() == value


@pytest.mark.parametrize(("name", "value"), [("kernel.msgmax", "16384"), ("net.ipv4.conf.all.log_martians", "1")])
async def test_an_unsafe_sysctl_of_the_sandbox_holds_inside(kit: Kit, name: str, value: str) -> None:
    """Sandbox: sysctls safe and unsafe; which ones a pod may have is the kubelet's business."""
    sandbox_id = await kit.sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={name: value}))
    assert (await kit.output(sandbox_id, "cat", "/proc/sys/" + name.replace(".", "/"))).strip() == value


def sysctl(name: str) -> str:
    """The host's own value."""
    return Path("/proc/sys", *name.split(".")).read_text()


async def test_a_sysctl_of_the_host_is_refused(kit: Kit) -> None:
    """Sandbox: sysctls; one that belongs to no namespace would change the host."""
    before = sysctl("vm.swappiness")
    with pytest.raises(InvalidArgument, match=r"vm\.swappiness"):
        await kit.sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={"vm.swappiness": "11"}))
    assert sysctl("vm.swappiness") == before


@pytest.fixture
def cgroup_name() -> Iterator[str]:
    """A cgroup parent's name. Whoever names one owns it: the runtime leaves it behind."""
    name = f"conformance{uuid.uuid4().hex[:8]}"
    yield name
    for level in ("*/", "", "*/*/"):
        for left in map(Path, glob.glob(f"/sys/fs/cgroup/{level}{name}*")):
            left.rmdir()


def cgroups_below(parent: str) -> set[str]:
    """Names of the directories below ``parent``, whichever hierarchy it is in; those of others may go meanwhile."""
    found = glob.iglob(f"/sys/fs/cgroup/**{parent}/**/", recursive=True)
    return {Path(path).name for path in found}


@pytest.mark.parametrize("form", ["/{}", "/{}.slice"])
async def test_a_sandbox_lives_in_its_cgroup_parent(kit: Kit, cgroup_name: str, form: str) -> None:
    """Sandbox: cgroup_parent (cgroupfs and .slice forms)."""
    driver = (await kit.runtime.runtime_config(v1.RuntimeConfigRequest())).linux.cgroup_driver
    parent = form.format(cgroup_name)
    config = kit.sandbox_config(linux=v1.LinuxPodSandboxConfig(cgroup_parent=parent))
    if driver == v1.SYSTEMD and not parent.endswith(".slice"):
        with pytest.raises(InvalidArgument, match="cgroup_parent"):
            await kit.run_sandbox(config)
        return
    sandbox_id = await kit.run_sandbox(config)
    container_id = await kit.run(sandbox_id)
    members = cgroups_below(parent)
    assert any(sandbox_id in name for name in members)
    assert any(container_id in name for name in members)
    await kit.remove_sandbox(sandbox_id)
