"""What a container becomes in Docker's API; no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker import container_config
from runtimes.docker.features import EngineFacts
from tests.runtimes.docker.examples import VERSION_29, facts, sandbox


def mounted(mount: v1.Mount, engine: EngineFacts | None = None) -> dict[str, Any]:
    config = v1.ContainerConfig(image=v1.ImageSpec(image="busybox"), mounts=[mount])
    request = v1.CreateContainerRequest(pod_sandbox_id="s", config=config)
    of_sandbox = v1.RunPodSandboxRequest(config=sandbox())
    body = container_config.container(request, of_sandbox, engine or facts(), created_ns=1)
    found: dict[str, Any] = body["HostConfig"]["Mounts"][0]
    return found


def test_a_mount_is_read_only_all_the_way_down_only_when_asked() -> None:
    mount = v1.Mount(host_path="/a", container_path="/b", readonly=True)
    assert mounted(mount)["BindOptions"] == {"Propagation": "rprivate"}
    assert mounted(mount, facts(VERSION_29))["BindOptions"]["ReadOnlyNonRecursive"]
    mount.recursive_read_only = True
    assert mounted(mount, facts(VERSION_29))["BindOptions"]["ReadOnlyForceRecursive"]


@pytest.mark.parametrize(
    "mount",
    [
        v1.Mount(host_path="/a", container_path="/b", readonly=True, recursive_read_only=True),
        v1.Mount(container_path="/b", image=v1.ImageSpec(image="busybox")),
    ],
    ids=["recursive", "image"],
)
def test_a_mount_that_the_engine_cannot_make_is_refused_by_its_path(mount: v1.Mount) -> None:
    with pytest.raises(Unimplemented, match="/b"):
        mounted(mount)
