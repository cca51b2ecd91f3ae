"""``python -m tests.runtimes.native.rootless.life IMAGE NETWORK LOGS``: one life of a sandbox and its container on the
engine of whoever runs this; what was seen, as JSON. Between two openings of the engine the container goes on. In a
network of its own it serves a port of the host."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any

import cri
from cri.errors import CRIError
from cri.importing import ImportsImages
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import free_port

SCRIPT = "echo hello; httpd -p 80 -h /etc; trap 'exit 3' TERM; while :; do sleep 0.1; done"


async def main(image: Path, network: str, logs: Path) -> dict[str, Any]:
    options = v1.NamespaceOption(network=network, pid=v1.POD)
    linux = v1.LinuxPodSandboxConfig(security_context=v1.LinuxSandboxSecurityContext(namespace_options=options))
    metadata = v1.PodSandboxMetadata(name="life", namespace="tests", uid="1")
    sandbox = v1.PodSandboxConfig(metadata=metadata, log_directory=str(logs), linux=linux)
    port = free_port() if network == "POD" else 0
    if port:
        sandbox.port_mappings.add(host_port=port, container_port=80, host_ip="127.0.0.1")
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="main"),
        image=v1.ImageSpec(image="busybox"),
        command=["sh", "-c", SCRIPT],
        log_path="main.log",
        linux=v1.LinuxContainerConfig(security_context=v1.LinuxContainerSecurityContext(namespace_options=options)),
    )
    seen: dict[str, Any] = {}
    async with cri.open("native") as runtime:
        assert isinstance(runtime, ImportsImages)
        await runtime.import_image(image, "busybox")
        made = await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=sandbox))
        status = await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=made.pod_sandbox_id))
        seen["ip"] = status.status.network.ip
        request = v1.CreateContainerRequest(pod_sandbox_id=made.pod_sandbox_id, config=config, sandbox_config=sandbox)
        container_id = (await runtime.create_container(request)).container_id
        await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
        command = ["sh", "-c", "id -u; cat /proc/self/uid_map; ip route"]
        answer = await runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=command, timeout=30))
        seen["exec"] = answer.stdout.decode()
        if port:
            seen["served"] = served(port)
            seen["again"] = await refusal(runtime, sandbox)
        request.config.linux.resources.memory_limit_in_bytes = 1 << 26
        request.config.metadata.name = "limited"
        try:
            await runtime.create_container(request)
        except CRIError as error:
            seen["limited"] = type(error).__name__
    async with cri.open("native") as runtime:
        await runtime.stop_container(v1.StopContainerRequest(container_id=container_id, timeout=30))
        ended = await runtime.container_status(v1.ContainerStatusRequest(container_id=container_id))
        seen["exit_code"] = ended.status.exit_code
        if port:
            await runtime.stop_pod_sandbox(v1.StopPodSandboxRequest(pod_sandbox_id=made.pod_sandbox_id))
            seen["listens"] = listens(port)
        seen["log"] = (logs / "main.log").read_text()
        await runtime.remove_pod_sandbox(v1.RemovePodSandboxRequest(pod_sandbox_id=made.pod_sandbox_id))
        seen["left"] = len((await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items)
    return seen


async def refusal(runtime: Runtime, taken: v1.PodSandboxConfig) -> str:
    """What is said to another sandbox that wants the same port."""
    other = v1.PodSandboxConfig()
    other.CopyFrom(taken)
    other.metadata.name = "other"
    try:
        await runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=other))
    except CRIError as error:
        return type(error).__name__
    return ""


def served(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/hosts", timeout=30) as answer:
        return str(answer.read().decode())


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))))
