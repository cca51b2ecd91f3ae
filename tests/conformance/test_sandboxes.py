"""What a sandbox is and says, from run to removal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from ipaddress import ip_address

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import HOLD, ODD, Kit, eventually


async def test_a_sandbox_is_ready_when_run_returns(kit: Kit) -> None:
    """Sandbox: NOTREADY is for a dead one; RunPodSandbox returns a READY one."""
    assert (await kit.sandbox_status(await kit.sandbox())).state == v1.SANDBOX_READY


async def test_the_status_has_name_namespace_uid_and_attempt(kit: Kit) -> None:
    """Ids and lists: sandbox status needs name, namespace, uid, created_at."""
    metadata = v1.PodSandboxMetadata(name=kit.fresh("pod"), namespace="conformance", uid=kit.fresh("uid"), attempt=3)
    assert (await kit.sandbox_status(await kit.sandbox(metadata=metadata))).metadata == metadata


async def test_the_time_of_creation_is_in_nanoseconds(kit: Kit) -> None:
    """Ids and lists: timestamps are nanoseconds."""
    before = time.time_ns()
    sandbox_id = await kit.sandbox()
    assert before <= (await kit.sandbox_status(sandbox_id)).created_at <= time.time_ns()


async def test_list_and_status_agree(kit: Kit) -> None:
    """Ids and lists: what a list says of a sandbox is what its status says."""
    sandbox_id = await kit.sandbox(annotations={"a": "b"})
    status = await kit.sandbox_status(sandbox_id)
    (item,) = await kit.sandboxes(id=sandbox_id)
    for field in ("id", "metadata", "state", "created_at", "labels", "annotations", "runtime_handler"):
        assert getattr(item, field) == getattr(status, field), field


async def test_labels_and_annotations_come_back_unaltered(kit: Kit) -> None:
    """Ids and lists: labels and annotations come back unaltered."""
    config = kit.sandbox_config(labels=ODD, annotations=ODD)
    status = await kit.sandbox_status(await kit.run_sandbox(config))
    assert dict(status.labels) == dict(config.labels)
    assert dict(status.annotations) == dict(config.annotations)


async def test_a_sandbox_has_an_address(kit: Kit, sandbox: str) -> None:
    """Sandbox: the IP is empty once the network is gone, and only then."""
    assert ip_address((await kit.sandbox_status(sandbox)).network.ip)


async def test_a_stopped_sandbox_is_not_ready_and_has_no_address(kit: Kit) -> None:
    """Sandbox: IP is empty once the network is gone."""
    sandbox_id = await kit.sandbox()
    await kit.stop_sandbox(sandbox_id)
    status = await kit.sandbox_status(sandbox_id)
    assert status.state == v1.SANDBOX_NOTREADY
    assert status.network.ip == ""
    assert list(status.network.additional_ips) == []


async def test_a_stopped_sandbox_keeps_its_record(kit: Kit) -> None:
    """Sandbox: the sandbox is NOTREADY, the record stays."""
    sandbox_id = await kit.sandbox(annotations={"a": "b"})
    before = await kit.sandbox_status(sandbox_id)
    await kit.stop_sandbox(sandbox_id)
    after = await kit.sandbox_status(sandbox_id)
    for field in ("metadata", "created_at", "labels", "annotations"):
        assert getattr(after, field) == getattr(before, field), field


@pytest.mark.needs("kernel")
async def test_a_sandbox_whose_process_died_is_not_ready_and_stays_on_record(kit: Kit) -> None:
    """Sandbox: when the pause process dies the sandbox is NOTREADY, the record stays."""
    sandbox_id = await kit.sandbox()
    request = v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
    info = (await kit.runtime.pod_sandbox_status(request)).info
    pids = [told["pid"] for told in map(json.loads, info.values()) if isinstance(told, dict) and told.get("pid")]
    assert pids, f"verbose status names the process of the sandbox, as in containerd and CRI-O: {dict(info)}"
    os.kill(pids[0], signal.SIGKILL)

    async def look() -> bool:
        return (await kit.sandbox_status(sandbox_id)).state == v1.SANDBOX_NOTREADY

    await eventually(look, "the sandbox is NOTREADY")
    assert [item.id for item in await kit.sandboxes(id=sandbox_id)] == [sandbox_id]


async def test_verbose_status_tells_more(kit: Kit, sandbox: str) -> None:
    """Ids and lists: `verbose` is answered with information, and only `verbose` is."""
    asked = [v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox, verbose=verbose) for verbose in (False, True)]
    terse, verbose = [await kit.runtime.pod_sandbox_status(each) for each in asked]
    assert not terse.info
    assert verbose.info


async def test_a_host_port_of_zero_publishes_nothing(kit: Kit) -> None:
    """Sandbox: host_port 0 is "no host port", not "any"."""
    mapping = v1.PortMapping(container_port=80, host_port=0)
    for sandbox_id in [await kit.sandbox(port_mappings=[mapping]) for _ in range(2)]:
        assert (await kit.sandbox_status(sandbox_id)).state == v1.SANDBOX_READY


@pytest.mark.parametrize("missing", ["name", "namespace", "uid"])
async def test_metadata_must_be_complete(kit: Kit, missing: str) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    config = kit.sandbox_config()
    config.metadata.ClearField(missing)
    with pytest.raises(InvalidArgument, match=missing):
        await kit.run_sandbox(config)


async def test_an_unknown_handler_is_refused(kit: Kit) -> None:
    """gRPC: codes are specific. The kubelet's RuntimeClass names the handler."""
    with pytest.raises((InvalidArgument, NotFound), match="no-such-handler"):
        await kit.run_sandbox(kit.sandbox_config(), "no-such-handler")


async def test_every_announced_handler_runs_and_is_named_in_the_status(kit: Kit) -> None:
    """Sandbox: the handler that was asked for is the one that the status names."""
    for handler in (await kit.runtime.status(v1.StatusRequest())).runtime_handlers:
        if handler.name.endswith("runc") or handler.name == "":
            sandbox_id = await kit.run_sandbox(kit.sandbox_config(), handler.name)
            assert (await kit.sandbox_status(sandbox_id)).runtime_handler == handler.name


async def test_a_stopped_sandbox_takes_no_container(kit: Kit) -> None:
    """gRPC: codes are specific: FAILED_PRECONDITION."""
    sandbox_id = await kit.sandbox()
    await kit.stop_sandbox(sandbox_id)
    with pytest.raises(FailedPrecondition):
        await kit.run(sandbox_id)


async def test_containers_of_one_sandbox_share_its_hostname(kit: Kit) -> None:
    """Sandbox: hostname."""
    sandbox_id = await kit.sandbox(hostname="host-of-pod")
    for _ in range(2):
        assert await kit.output(sandbox_id, "hostname") == "host-of-pod\n"


async def test_many_sandboxes_can_be_run_and_removed_at_once(kit: Kit) -> None:
    """Ids and lists: one item that vanishes while listing is skipped, not an error; nobody waits for a stranger."""
    made = await asyncio.gather(*(kit.sandbox() for _ in range(4)))
    assert len(set(made)) == 4
    await asyncio.gather(*(kit.remove_sandbox(each) for each in made), *(kit.sandboxes() for _ in range(4)))


@pytest.mark.optional("sandbox-resources")
async def test_new_resources_of_a_sandbox_are_taken(kit: Kit, sandbox: str) -> None:
    """Sandbox: UpdatePodSandboxResources tells of a change; the runtime takes note."""
    limits = v1.LinuxContainerResources(cpu_shares=512, memory_limit_in_bytes=64 << 20)
    request = v1.UpdatePodSandboxResourcesRequest(pod_sandbox_id=sandbox, resources=limits)
    await kit.runtime.update_pod_sandbox_resources(request)


async def test_a_sandbox_outlives_its_containers(kit: Kit, sandbox: str) -> None:
    """Sandbox: it is NOTREADY when its own process dies, not when a member does."""
    container_id = await kit.run(sandbox, *HOLD)
    await kit.stop(container_id)
    assert (await kit.sandbox_status(sandbox)).state == v1.SANDBOX_READY
