"""Stops of sandboxes whose engine was killed meanwhile."""

from __future__ import annotations

import os

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.places import Places
from runtimes.native.runtime import NativeRuntime
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.native import dying


@pytest.mark.parametrize("point", ["oci_runtime:OciRuntime.delete", "network.namespaces:remove"])
async def test_a_stop_that_a_dead_process_did_not_finish_is_finished(
    runtime: NativeRuntime, run_sandbox: RunSandbox, config: NativeConfig, point: str
) -> None:
    sandbox_id = await run_sandbox()
    places = Places.of(config)
    request = v1.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
    assert await dying.die(config, "stop_pod_sandbox", request, point)
    assert places.namespaces(sandbox_id).exists()
    async with await NativeRuntime.open(config):
        assert not places.namespaces(sandbox_id).exists()
        assert sandbox_id not in os.listdir(places.oci_root)
    asked = v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
    assert (await runtime.pod_sandbox_status(asked)).status.state == v1.SANDBOX_NOTREADY
