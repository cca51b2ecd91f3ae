"""The runtime about itself: Version, Status, RuntimeConfig."""

from __future__ import annotations

import json

import pytest

from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1


async def test_version_says_all_four_strings(runtime: Runtime) -> None:
    """Ids and lists: Version needs all four strings."""
    answer = await runtime.version(v1.VersionRequest())
    assert all((answer.version, answer.runtime_name, answer.runtime_version, answer.runtime_api_version))


async def test_the_api_version_is_v1(runtime: Runtime) -> None:
    """Ids and lists: Version; this is CRI v1 and no other."""
    assert (await runtime.version(v1.VersionRequest())).runtime_api_version == "v1"


@pytest.mark.parametrize("condition", ["RuntimeReady", "NetworkReady"])
async def test_a_runtime_that_works_has_its_conditions_true(runtime: Runtime, condition: str) -> None:
    """gRPC: an engine that is down is UNAVAILABLE; one that is up says that it is ready."""
    conditions = {each.type: each.status for each in (await runtime.status(v1.StatusRequest())).status.conditions}
    assert conditions[condition] is True


async def test_status_lists_the_default_handler(runtime: Runtime) -> None:
    """Sandbox: handlers and their features are what a caller may rely on; the default one has no name."""
    assert "" in {handler.name for handler in (await runtime.status(v1.StatusRequest())).runtime_handlers}


async def test_every_announced_handler_has_a_name_of_its_own(runtime: Runtime) -> None:
    """Sandbox: handlers and their features are what a caller may rely on."""
    names = [handler.name for handler in (await runtime.status(v1.StatusRequest())).runtime_handlers]
    assert len(names) == len(set(names))


async def test_verbose_status_tells_more(runtime: Runtime) -> None:
    """Ids and lists: `verbose` is answered with information, and only `verbose` is."""
    assert not (await runtime.status(v1.StatusRequest())).info
    info = (await runtime.status(v1.StatusRequest(verbose=True))).info
    assert info
    assert all(json.loads(text) is not None for text in info.values())


async def test_the_cgroup_driver_is_said(runtime: Runtime) -> None:
    """gRPC: RuntimeConfig's cgroup driver enum 0 is SYSTEMD: always set it."""
    answer = await runtime.runtime_config(v1.RuntimeConfigRequest())
    assert answer.HasField("linux")
    assert answer.linux.cgroup_driver in (v1.SYSTEMD, v1.CGROUPFS)


async def test_a_pod_cidr_is_taken(runtime: Runtime) -> None:
    """Idempotence: the kubelet hands the pod CIDR over again and again; that succeeds."""
    config = v1.RuntimeConfig(network_config=v1.NetworkConfig(pod_cidr="10.1.0.0/16"))
    for _ in range(2):
        await runtime.update_runtime_config(v1.UpdateRuntimeConfigRequest(runtime_config=config))
